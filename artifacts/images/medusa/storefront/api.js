// The Store API as this storefront uses it. Every function rejects with an
// ApiError whose message can be shown to the shopper.

const KEY = document.querySelector('meta[name="publishable-key"]').content
const CART = "cart"
const PRODUCT_FIELDS = "*variants.calculated_price,+variants.inventory_quantity"

/** An answer of the Store API that is no success. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message)
    this.status = status
  }
}

async function call(method, path, body) {
  let response
  try {
    response = await fetch(path, {
      method,
      headers: { "content-type": "application/json", "x-publishable-api-key": KEY },
      body: body && JSON.stringify(body),
    })
  } catch {
    throw new ApiError("The shop cannot be reached. Please try again.", 0)
  }
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) {
    throw new ApiError(answer.message || `The shop answered with status ${response.status}.`, response.status)
  }
  return answer
}

const get = (path, query) => call("GET", `${path}?${new URLSearchParams(query)}`)
const post = (path, body = {}) => call("POST", path, body)

let regionRequest

/** The region this storefront sells in. */
export function region() {
  regionRequest ??= get("/store/regions", { limit: 1 }).then(
    ({ regions: [first] }) => {
      if (!first) throw new ApiError("This shop does not sell anywhere yet.", 0)
      return first
    },
    (error) => {
      regionRequest = undefined
      throw error
    }
  )
  return regionRequest
}

/** One page of products and the number of all. */
export async function products(offset, limit) {
  const { id } = await region()
  return get("/store/products", { region_id: id, fields: PRODUCT_FIELDS, order: "title", offset, limit })
}

/** The product of that handle, or undefined. */
export async function product(handle) {
  const { id } = await region()
  const { products } = await get("/store/products", { region_id: id, fields: PRODUCT_FIELDS, handle, limit: 1 })
  return products[0]
}

/** The shopper's cart, or undefined when there is none, or it has become an order. */
export async function cart() {
  const id = localStorage.getItem(CART)
  if (!id) return undefined
  try {
    const { cart } = await get(`/store/carts/${id}`)
    if (!cart.completed_at) return cart
  } catch (error) {
    if (error.status !== 404) throw error
  }
  localStorage.removeItem(CART)
  return undefined
}

async function ensureCart() {
  const existing = await cart()
  if (existing) return existing
  const { cart: created } = await post("/store/carts", { region_id: (await region()).id })
  localStorage.setItem(CART, created.id)
  return created
}

export async function addToCart(variantId, quantity) {
  const { id } = await ensureCart()
  return (await post(`/store/carts/${id}/line-items`, { variant_id: variantId, quantity })).cart
}

/** Sets the quantity of a line; 0 removes it. */
export async function setQuantity(cartId, lineId, quantity) {
  const path = `/store/carts/${cartId}/line-items/${lineId}`
  return quantity > 0 ? post(path, { quantity }) : call("DELETE", path)
}

export async function setAddress(cartId, email, address) {
  return (await post(`/store/carts/${cartId}`, { email, shipping_address: address, billing_address: address })).cart
}

export async function shippingOptions(cartId) {
  return (await get("/store/shipping-options", { cart_id: cartId })).shipping_options
}

export async function paymentProviders() {
  const { id } = await region()
  return (await get("/store/payment-providers", { region_id: id })).payment_providers
}

/** Chooses shipping and payment, and turns the cart into an order. */
export async function placeOrder(cart, shippingOptionId, providerId) {
  await post(`/store/carts/${cart.id}/shipping-methods`, { option_id: shippingOptionId })
  const collection =
    cart.payment_collection ?? (await post("/store/payment-collections", { cart_id: cart.id })).payment_collection
  await post(`/store/payment-collections/${collection.id}/payment-sessions`, { provider_id: providerId })
  const answer = await post(`/store/carts/${cart.id}/complete`)
  if (answer.type !== "order") {
    throw new ApiError(answer.error?.message || "The order could not be placed.", 0)
  }
  localStorage.removeItem(CART)
  return answer.order
}

export async function order(id) {
  return (await get(`/store/orders/${encodeURIComponent(id)}`)).order
}
