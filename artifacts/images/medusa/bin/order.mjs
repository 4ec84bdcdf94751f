#!/usr/bin/env node
// Places an order as a shopper does, through the Store API, then finds it as the
// owner does, through the Admin API. Needs nothing but Node.js.
import { readFileSync } from "node:fs"
import http from "node:http"
import https from "node:https"
import { join } from "node:path"
import { parseArgs } from "node:util"

const USAGE = `Usage: order.mjs --url URL [flags]

Places an order in a store and verifies it in the store's admin.

  --url URL                the store's URL (env STORE_URL)
  --connect [SCHEME://]HOST:PORT
                           connect there instead of to the URL's host; with a
                           scheme, speak that one instead of the URL's
  --credentials FOLDER     folder with the files publishable-key, admin-email and
                           admin-password, such as a mounted Secret
  --key KEY                publishable key (env PUBLISHABLE_KEY)
  --admin-email ADDRESS    admin login (env ADMIN_EMAIL)
  --admin-password WORD    admin login (env ADMIN_PASSWORD; prefer it or --credentials,
                           a flag is seen in the list of processes)
  --timeout SECONDS        for each request (10)
  --output text|json       what to print (text)

Exits with 0 only if the admin shows the order as it was placed.
`

const flags = readFlags()
const store = {
  url: new URL(flags.url),
  connect: connectTarget(flags),
  timeout: Number(flags.timeout) * 1000,
}

try {
  const order = await placeOrder(credential("publishable-key", flags.key, "PUBLISHABLE_KEY"))
  await verifyOrder(order)
  print(order)
} catch (error) {
  fail(error.message)
}

function readFlags() {
  let values
  try {
    ;({ values } = parseArgs({
      options: {
        url: { type: "string", default: process.env.STORE_URL },
        connect: { type: "string" },
        credentials: { type: "string" },
        key: { type: "string" },
        "admin-email": { type: "string" },
        "admin-password": { type: "string" },
        timeout: { type: "string", default: "10" },
        output: { type: "string", default: "text" },
        help: { type: "boolean", short: "h" },
      },
    }))
  } catch (error) {
    fail(error.message, 2)
  }
  if (values.help) {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  if (!URL.canParse(values.url ?? "")) fail("--url must be the store's URL", 2)
  if (!(Number(values.timeout) > 0)) fail("--timeout must be a positive number", 2)
  if (!["text", "json"].includes(values.output)) fail("--output must be text or json", 2)
  return values
}

function connectTarget({ url, connect }) {
  const target = connect?.includes("://") ? connect : `${new URL(url).protocol}//${connect ?? new URL(url).host}`
  if (!URL.canParse(target)) fail(`--connect ${connect}: want [SCHEME://]HOST:PORT`, 2)
  return new URL(target)
}

/** A flag wins over the environment, and that over the folder. */
function credential(file, flag, variable) {
  const value = flag ?? process.env[variable]
  if (value) return value
  if (!flags.credentials) throw new Error(`no ${file}: give a flag, ${variable} or --credentials`)
  return readFileSync(join(flags.credentials, file), "utf8")
}

function fail(message, code = 1) {
  console.error(`order: ${message}`)
  process.exit(code)
}

/**
 * One request; resolves to the decoded body of a 2xx answer, and rejects with
 * the request and the answer's message otherwise.
 */
function call(method, path, { headers = {}, body } = {}) {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const transport = store.connect.protocol === "https:" ? https : http
  const request = transport.request({
    method,
    path,
    host: store.connect.hostname.replace(/^\[|\]$/g, ""),
    port: store.connect.port,
    servername: store.url.hostname,
    signal: AbortSignal.timeout(store.timeout),
    headers: {
      host: store.url.host,
      // What a proxy that terminates TLS would say, when there is none on the way.
      "x-forwarded-proto": store.url.protocol.slice(0, -1),
      accept: "application/json",
      ...(payload && { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
      ...headers,
    },
  })
  return new Promise((resolve, reject) => {
    const refuse = (reason) => reject(new Error(`${method} ${path}: ${reason}`))
    request.once("error", (error) => refuse(error.name === "TimeoutError" ? `no answer within ${flags.timeout} s` : error.message || error.code))
    request.once("response", async (response) => {
      try {
        const text = Buffer.concat(await response.toArray()).toString()
        const success = response.statusCode >= 200 && response.statusCode < 300
        if (!success) return refuse(`status ${response.statusCode}: ${messageOf(text)}`)
        resolve(JSON.parse(text))
      } catch (error) {
        refuse(error.message)
      }
    })
    request.end(payload)
  })
}

function messageOf(text) {
  try {
    return JSON.parse(text).message ?? text.slice(0, 200)
  } catch {
    return text.slice(0, 200)
  }
}

async function placeOrder(key) {
  const headers = { "x-publishable-api-key": key }
  const get = (path) => call("GET", path, { headers })
  const post = (path, body = {}) => call("POST", path, { headers, body })

  const { regions } = await get("/store/regions?limit=1")
  const region = first(regions, "the store has no region")
  const { products } = await get(
    `/store/products?region_id=${region.id}&fields=title,*variants.calculated_price,+variants.inventory_quantity`
  )
  const variant = first(products.flatMap((product) => product.variants).filter(isAvailable), "no product is for sale")

  const buyer = { email: "shopper@example.com", quantity: 2 }
  const { cart } = await post("/store/carts", { region_id: region.id, email: buyer.email })
  await post(`/store/carts/${cart.id}/line-items`, { variant_id: variant.id, quantity: buyer.quantity })
  const address = {
    first_name: "Sam",
    last_name: "Shopper",
    address_1: "1 Market Street",
    city: "Springfield",
    postal_code: "12345",
    country_code: first(region.countries, "the region has no country").iso_2,
  }
  await post(`/store/carts/${cart.id}`, { shipping_address: address, billing_address: address })

  const { shipping_options } = await get(`/store/shipping-options?cart_id=${cart.id}`)
  const option = first(shipping_options, "the store does not ship to its own region")
  await post(`/store/carts/${cart.id}/shipping-methods`, { option_id: option.id })

  const { payment_providers } = await get(`/store/payment-providers?region_id=${region.id}`)
  if (!payment_providers.some((provider) => provider.id === "pp_system_default")) {
    throw new Error("the store does not offer manual payment (pp_system_default)")
  }
  const { payment_collection } = await post("/store/payment-collections", { cart_id: cart.id })
  await post(`/store/payment-collections/${payment_collection.id}/payment-sessions`, { provider_id: "pp_system_default" })

  const answer = await post(`/store/carts/${cart.id}/complete`)
  if (answer.type !== "order") {
    throw new Error(`the cart did not become an order: ${answer.error?.message ?? answer.type}`)
  }
  if (!(answer.order.total > variant.calculated_price.calculated_amount)) {
    throw new Error(`the order's total is ${answer.order.total}, less than what was bought`)
  }
  return { ...answer.order, bought: { variant: variant.id, quantity: buyer.quantity, email: buyer.email } }
}

function isAvailable(variant) {
  const inStock = !variant.manage_inventory || variant.allow_backorder || variant.inventory_quantity > 1
  return variant.calculated_price?.calculated_amount != null && inStock
}

function first(list, message) {
  if (!list?.length) throw new Error(message)
  return list[0]
}

/** Logs in and compares what the admin shows with what was bought. */
async function verifyOrder(placed) {
  const { token } = await call("POST", "/auth/user/emailpass", {
    body: {
      email: credential("admin-email", flags["admin-email"], "ADMIN_EMAIL"),
      password: credential("admin-password", flags["admin-password"], "ADMIN_PASSWORD"),
    },
  })
  const { order } = await call("GET", `/admin/orders/${placed.id}?fields=display_id,total,currency_code,email,*items`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const expected = {
    display_id: placed.display_id,
    total: placed.total,
    currency_code: placed.currency_code,
    email: placed.bought.email,
    variant: placed.bought.variant,
    quantity: placed.bought.quantity,
  }
  const shown = { ...order, variant: order.items?.[0]?.variant_id, quantity: order.items?.[0]?.quantity }
  for (const [name, value] of Object.entries(expected)) {
    if (shown[name] !== value) {
      throw new Error(`the admin shows ${name} ${shown[name]} of order ${placed.id}, not ${value}`)
    }
  }
}

function print({ id, display_id: number, total, currency_code: currency }) {
  console.log(
    flags.output === "json"
      ? JSON.stringify({ id, number, total, currency })
      : `order #${number} (${id}): ${total} ${currency.toUpperCase()}`
  )
}
