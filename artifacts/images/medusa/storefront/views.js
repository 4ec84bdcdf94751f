// The pages. Each function returns { heading, content } for the router; text
// reaches the document as text nodes only, never as HTML.
import * as api from "./api.js"

const PAGE_SIZE = 24
const MANUAL_PAYMENT = "pp_system_default"

/** An element with properties, event listeners (on*) and children. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (name in element) element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children.flat().filter((child) => child !== undefined))
  return element
}

function money(amount, currency) {
  return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(amount)
}

function price(variant) {
  const { calculated_amount: amount, currency_code: currency } = variant.calculated_price ?? {}
  return amount == null ? undefined : money(amount, currency)
}

function lowestPrice(product) {
  const priced = (product.variants ?? []).filter((variant) => price(variant) !== undefined)
  priced.sort((a, b) => a.calculated_price.calculated_amount - b.calculated_price.calculated_amount)
  return priced.length > 0 ? price(priced[0]) : "Not for sale"
}

function available(variant) {
  const inStock = !variant.manage_inventory || variant.allow_backorder || variant.inventory_quantity > 0
  return price(variant) !== undefined && inStock
}

/** Pictures are decoration here: the product's name stands beside each. */
function picture(product) {
  return product.thumbnail
    ? h("img", { className: "picture", src: product.thumbnail, alt: "", loading: "lazy" })
    : h("div", { className: "picture placeholder", "aria-hidden": "true" }, [...product.title][0] ?? "")
}

/** Runs a form's action once at a time and shows its failure beside the button. */
function submitting(form, action) {
  const error = h("p", { className: "error", role: "alert" })
  form.append(error)
  form.addEventListener("submit", async (event) => {
    event.preventDefault()
    const button = form.querySelector("button[type=submit]")
    button.disabled = true
    error.textContent = ""
    try {
      await action(new FormData(form))
    } catch (failure) {
      error.textContent = failure.message
    } finally {
      button.disabled = false
    }
  })
  return form
}

export async function productList() {
  const list = h("ul", { className: "products" })
  const more = h("button", { type: "button", className: "quiet", onclick: () => load().catch(showFailure) }, "Show more")
  const failure = h("p", { className: "error", role: "alert" })
  const showFailure = (error) => { failure.textContent = error.message }

  async function load() {
    const { products, count } = await api.products(list.children.length, PAGE_SIZE)
    list.append(
      ...products.map((product) =>
        h("li", {},
          h("a", { href: `#/products/${encodeURIComponent(product.handle)}` },
            picture(product),
            h("h2", {}, product.title),
            h("span", { className: "price" }, lowestPrice(product)))))
    )
    more.hidden = products.length === 0 || list.children.length >= count
    return count
  }

  const count = await load()
  return {
    heading: "Products",
    content: count === 0 ? [h("p", {}, "Nothing is on sale at the moment.")] : [list, more, failure],
  }
}

export async function productDetail(handle) {
  const product = await api.product(handle)
  if (!product) return notFound()
  const variants = (product.variants ?? []).filter((variant) => price(variant) !== undefined)
  variants.sort((a, b) => a.variant_rank - b.variant_rank)

  const choice = h("select", { name: "variant", required: true },
    variants.map((variant) =>
      h("option", { value: variant.id, disabled: !available(variant) },
        `${variant.title}: ${price(variant)}${available(variant) ? "" : " (sold out)"}`)))
  const form = h("form", {},
    h("label", {}, "Variant", choice),
    h("label", {}, "Quantity", h("input", { name: "quantity", type: "number", min: 1, value: 1, required: true })),
    h("button", { type: "submit" }, "Add to cart"))
  submitting(form, async (data) => {
    await api.addToCart(data.get("variant"), Number(data.get("quantity")))
    location.hash = "#/cart"
  })

  const buyable = variants.some(available)
  if (buyable) choice.value = variants.find(available).id
  return {
    heading: product.title,
    content: [
      h("div", { className: "product" },
        picture(product),
        h("div", {},
          h("p", { className: "description" }, product.description ?? ""),
          buyable ? form : h("p", { className: "muted" }, "Sold out")))],
  }
}

export async function cart(refresh) {
  const current = await api.cart()
  if (!current || current.items.length === 0) {
    return { heading: "Cart", content: [h("p", {}, "Your cart is empty. "), h("a", { href: "#/" }, "See the products")] }
  }
  const failure = h("p", { className: "error", role: "alert" })
  const change = async (line, quantity) => {
    try {
      await api.setQuantity(current.id, line.id, quantity)
      await refresh()
    } catch (error) {
      failure.textContent = error.message
    }
  }
  const controls = (line) => [
    h("td", {}, h("input", {
      type: "number", min: 1, value: line.quantity, "aria-label": `Quantity of ${line.product_title}`,
      onchange: (event) => event.target.reportValidity() && change(line, Number(event.target.value)),
    })),
    h("td", {}, h("button", {
      type: "button", className: "quiet", "aria-label": `Remove ${line.product_title}`, onclick: () => change(line, 0),
    }, "Remove")),
  ]
  return {
    heading: "Cart",
    content: [
      lines(current, controls),
      failure,
      h("p", {}, h("button", { type: "button", onclick: () => { location.hash = "#/checkout" } }, "Checkout")),
    ],
  }
}

/** The lines and totals of a cart or an order; controls may add cells to a line. */
function lines(source, controls) {
  const extra = controls ? 2 : 1
  const total = (name, amount) =>
    h("tr", {}, h("th", { scope: "row", colSpan: 1 + extra }, name),
      h("td", { className: "amount" }, money(amount, source.currency_code)))
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Product"), h("th", { scope: "col", colSpan: extra }, "Quantity"),
      h("th", { scope: "col", className: "amount" }, "Price"))),
    h("tbody", {}, source.items.map((line) =>
      h("tr", {},
        h("td", {}, `${line.product_title} (${line.variant_title})`),
        controls ? controls(line) : h("td", {}, String(line.quantity)),
        h("td", { className: "amount" }, money(line.unit_price * line.quantity, source.currency_code))))),
    h("tfoot", {},
      source.shipping_total > 0 ? total("Shipping", source.shipping_total) : undefined,
      source.tax_total > 0 ? total("Tax", source.tax_total) : undefined,
      total("Total", source.total)))
}

export async function checkout() {
  const current = await api.cart()
  if (!current || current.items.length === 0) return cart()
  const { countries } = await api.region()
  const known = current.shipping_address ?? {}
  const field = (label, name, autocomplete, properties = {}) =>
    h("label", {}, label, h("input", { name, autocomplete, required: true, value: known[name] ?? "", ...properties }))

  const delivery = h("div", { "aria-live": "polite" })
  const form = h("form", {},
    h("fieldset", {}, h("legend", {}, "Delivery address"),
      field("E-mail", "email", "email", { type: "email", value: current.email ?? "" }),
      field("First name", "first_name", "given-name"),
      field("Last name", "last_name", "family-name"),
      field("Street and number", "address_1", "address-line1"),
      field("Postal code", "postal_code", "postal-code"),
      field("City", "city", "address-level2"),
      h("label", {}, "Country",
        h("select", { name: "country_code", autocomplete: "country", required: true },
          countries.map((country) =>
            h("option", { value: country.iso_2, selected: country.iso_2 === known.country_code }, country.display_name))))),
    h("button", { type: "submit" }, "Continue to shipping and payment"))
  // A changed address may change the ways to ship: they are then asked for again.
  form.addEventListener("input", () => delivery.replaceChildren())
  submitting(form, async (data) => {
    const { email, ...address } = Object.fromEntries(data)
    const addressed = await api.setAddress(current.id, email, address)
    delivery.replaceChildren(await deliveryForm(addressed))
    delivery.querySelector("input")?.focus()
  })
  return { heading: "Checkout", content: [lines(current), form, delivery] }
}

async function deliveryForm(addressed) {
  const [options, providers] = await Promise.all([api.shippingOptions(addressed.id), api.paymentProviders()])
  if (options.length === 0) {
    return h("p", { className: "error" }, "This shop does not deliver to that address.")
  }
  const choice = (name, value, text, checked) =>
    h("label", { className: "choice" }, h("input", { type: "radio", name, value, checked, required: true }), text)
  const form = h("form", {},
    h("fieldset", {}, h("legend", {}, "Shipping"),
      options.map((option, index) =>
        choice("shipping", option.id, `${option.name}, ${money(option.amount, addressed.currency_code)}`, index === 0))),
    h("fieldset", {}, h("legend", {}, "Payment"),
      providers.map((provider, index) =>
        choice("payment", provider.id, provider.id === MANUAL_PAYMENT ? "On delivery" : provider.id, index === 0))),
    h("button", { type: "submit" }, "Place order"))
  return submitting(form, async (data) => {
    const order = await api.placeOrder(addressed, data.get("shipping"), data.get("payment"))
    location.hash = `#/orders/${order.id}`
  })
}

export async function orderConfirmation(id) {
  const order = await api.order(id)
  return {
    heading: "Thank you for your order",
    content: [
      h("p", {}, `Your order number is ${order.display_id}. It will be sent to ${order.shipping_address.address_1}, `
        + `${order.shipping_address.postal_code} ${order.shipping_address.city}.`),
      lines(order),
      h("p", {}, h("a", { href: "#/" }, "Continue shopping")),
    ],
  }
}

export function notFound() {
  return { heading: "Not found", content: [h("p", {}, "There is no such page. "), h("a", { href: "#/" }, "See the products")] }
}

export function failed(error) {
  return { heading: "Something went wrong", content: [h("p", { className: "error" }, error.message)] }
}
