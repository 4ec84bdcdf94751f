/** What the environment says about a new store. */
export type Settings = {
  /** Shown to shoppers; any characters. */
  title: string
  /** ISO 4217, lower case. */
  currency: string
  /** ISO 3166-1 alpha-2, lower case; where the store delivers to. At least one. */
  countries: string[]
  adminEmail: string
  adminPassword: string
  /** Whether to start with two sample products. */
  sampleProducts: boolean
}

/** Reads and checks the settings; throws an error that names the variable at fault. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const required = (name: string): string => {
    const value = env[name]
    if (!value) {
      throw new Error(`environment variable ${name} must be set`)
    }
    return value
  }
  const currency = (env.STORE_CURRENCY || "eur").toLowerCase()
  if (!/^[a-z]{3}$/.test(currency)) {
    throw new Error(`STORE_CURRENCY ${JSON.stringify(currency)} is no ISO 4217 code`)
  }
  const countries = (env.STORE_COUNTRIES || "de,fr,nl").toLowerCase().split(",")
  for (const country of countries) {
    if (!/^[a-z]{2}$/.test(country)) {
      throw new Error(`STORE_COUNTRIES: ${JSON.stringify(country)} is no ISO 3166-1 code`)
    }
  }
  return {
    title: required("STORE_TITLE"),
    currency,
    countries,
    adminEmail: required("ADMIN_EMAIL"),
    adminPassword: required("ADMIN_PASSWORD"),
    sampleProducts: env.STORE_SAMPLE_PRODUCTS !== "false",
  }
}
