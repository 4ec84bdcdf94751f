import { defineConfig } from "@medusajs/framework/utils"

// `medusa build` reads this file too, when no store and no secret exists yet.
const building = process.env.MEDUSA_BUILD === "1"

function required(name: string): string {
  const value = process.env[name]
  if (value) {
    return value
  }
  if (building) {
    return ""
  }
  throw new Error(`environment variable ${name} must be set`)
}

/** The parts are escaped, so a password may hold any character. */
function databaseUrl(): string {
  const user = encodeURIComponent(process.env.DATABASE_USER ?? "medusa")
  const password = encodeURIComponent(required("DATABASE_PASSWORD"))
  const host = process.env.DATABASE_HOST ?? "postgres"
  const port = process.env.DATABASE_PORT ?? "5432"
  const name = encodeURIComponent(process.env.DATABASE_NAME ?? "medusa")
  return `postgres://${user}:${password}@${host}:${port}/${name}`
}

const storeUrl = (process.env.STORE_URL ?? "http://localhost:9000").replace(/\/+$/, "")

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: databaseUrl(),
    databaseDriverOptions: { connection: { ssl: process.env.DATABASE_SSL === "true" } },
    http: {
      // Storefront and admin are served from the store's own origin.
      storeCors: process.env.STORE_CORS ?? "",
      adminCors: process.env.ADMIN_CORS ?? "",
      authCors: process.env.AUTH_CORS ?? "",
      jwtSecret: required("JWT_SECRET"),
      cookieSecret: required("COOKIE_SECRET"),
    },
    // In production Medusa marks the admin's session cookie Secure, and over
    // plain http then sends none at all: the login "succeeds" and is forgotten.
    cookieOptions: { secure: process.env.COOKIE_SECURE !== "false", sameSite: "lax" },
  },
  admin: {
    backendUrl: "/",
  },
  modules: [
    {
      resolve: "@medusajs/medusa/file",
      options: {
        providers: [
          {
            resolve: "@medusajs/medusa/file-local",
            id: "local",
            options: {
              upload_dir: "static",
              // Exports hold customers' data: kept out of the folder served to
              // everyone, see src/api/static/[file].
              private_upload_dir: "private",
              backend_url: `${storeUrl}/static`,
            },
          },
        ],
      },
    },
  ],
})
