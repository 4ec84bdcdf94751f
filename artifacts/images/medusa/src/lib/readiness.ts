import type { MedusaContainer } from "@medusajs/framework/types"
import { ContainerRegistrationKeys, promiseAll } from "@medusajs/framework/utils"

const CHECK_TIMEOUT_MS = 3000

/** One thing that must hold for the store to sell. */
export type CheckResult = { name: string; ok: boolean; reason?: string }

export type Readiness = { ready: boolean; reason?: string; checks: CheckResult[] }

/** Throws, with a reason meant for people, when the check fails. */
type Check = () => Promise<void>

type Region = { id: string; currency_code: string; countries?: { iso_2: string }[] }
type Option = {
  prices?: ({ currency_code?: string } | null)[] | null
  service_zone?: { geo_zones?: { country_code?: string }[] } | null
}

/** Whether the database answers. */
export async function databaseReadiness(container: MedusaContainer): Promise<Readiness> {
  return readiness([await run("database", () => database(container))])
}

/**
 * Whether a shopper can buy: what the storefront asks for is asked through the
 * Store API itself, with the store's publishable key, at the given origin.
 *
 * Simultaneous callers share one evaluation, so that probes and the platform
 * cannot pile up work on a store that is slow already.
 */
export function storeReadiness(container: MedusaContainer, origin: string): Promise<Readiness> {
  inProgress ??= evaluate(container, origin).finally(() => {
    inProgress = undefined
  })
  return inProgress
}

let inProgress: Promise<Readiness> | undefined

async function evaluate(container: MedusaContainer, origin: string): Promise<Readiness> {
  const answers = await run("database", () => database(container))
  if (!answers.ok) {
    return readiness([answers])
  }
  let region: Region | undefined
  const regionCheck = await run("region", async () => {
    region = await firstRegion(origin)
  })
  if (!region) {
    return readiness([answers, regionCheck])
  }
  const { id, currency_code, countries = [] } = region
  const rest = await promiseAll([
    run("payment", () => paymentProvider(origin, id)),
    run("product", () => pricedProduct(origin, id)),
    run("shipping", () => shippingOption(container, currency_code, countries.map((country) => country.iso_2))),
  ])
  return readiness([answers, regionCheck, ...rest])
}

function readiness(checks: CheckResult[]): Readiness {
  const failed = checks.find((check) => !check.ok)
  return failed
    ? { ready: false, reason: `${failed.name}: ${failed.reason}`, checks }
    : { ready: true, checks }
}

async function run(name: string, check: Check): Promise<CheckResult> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS)
  })
  try {
    await Promise.race([check(), timeout])
    return { name, ok: true }
  } catch (error) {
    return { name, ok: false, reason: error instanceof Error ? error.message : String(error) }
  } finally {
    clearTimeout(timer)
  }
}

async function database(container: MedusaContainer): Promise<void> {
  await container.resolve(ContainerRegistrationKeys.PG_CONNECTION).raw("select 1")
}

async function firstRegion(origin: string): Promise<Region> {
  const { regions } = await storeApi<{ regions: Region[] }>(origin, "/store/regions?limit=1")
  if (regions.length === 0) {
    throw new Error("the store has no region")
  }
  return regions[0]
}

async function paymentProvider(origin: string, regionId: string): Promise<void> {
  const { payment_providers } = await storeApi<{ payment_providers: unknown[] }>(
    origin,
    `/store/payment-providers?region_id=${encodeURIComponent(regionId)}`
  )
  if (payment_providers.length === 0) {
    throw new Error("the region has no payment provider")
  }
}

async function pricedProduct(origin: string, regionId: string): Promise<void> {
  type Variant = { calculated_price?: { calculated_amount?: number | null } | null }
  const { products } = await storeApi<{ products: { variants?: Variant[] | null }[] }>(
    origin,
    `/store/products?limit=20&fields=id,*variants.calculated_price&region_id=${encodeURIComponent(regionId)}`
  )
  if (products.length === 0) {
    throw new Error("no product is published")
  }
  const variants = products.flatMap((product) => product.variants ?? [])
  if (!variants.some((variant) => variant.calculated_price?.calculated_amount != null)) {
    throw new Error("no published product has a price in the region")
  }
}

/** The Store API lists shipping options for a cart only, hence the query. */
async function shippingOption(container: MedusaContainer, currency: string, countries: string[]): Promise<void> {
  const { data } = await container.resolve(ContainerRegistrationKeys.QUERY).graph({
    entity: "shipping_option",
    fields: ["id", "prices.currency_code", "service_zone.geo_zones.country_code"],
  })
  const ships = (data as Option[]).some(
    (option) =>
      option.prices?.some((price) => price?.currency_code === currency) &&
      option.service_zone?.geo_zones?.some((zone) => countries.includes(zone.country_code ?? ""))
  )
  if (!ships) {
    throw new Error("no shipping option delivers to the region at a price in its currency")
  }
}

async function storeApi<T>(origin: string, path: string): Promise<T> {
  const response = await fetch(origin + path, {
    headers: { "x-publishable-api-key": process.env.PUBLISHABLE_KEY ?? "" },
    signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
  })
  const body = (await response.json()) as T & { message?: string }
  if (!response.ok) {
    throw new Error(`the Store API answers ${response.status}: ${body.message}`)
  }
  return body
}
