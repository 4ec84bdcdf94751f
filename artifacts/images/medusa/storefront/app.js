// The router: shows the page that the address after "#" names.
import * as api from "./api.js"
import * as views from "./views.js"

const TITLE = document.title
const main = document.getElementById("main")
const status = document.getElementById("status")
const cartCount = document.getElementById("cart-count")

let newest = 0

function page() {
  const [name, argument] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent)
  switch (name) {
    case "": return views.productList()
    case "products": return views.productDetail(argument)
    case "cart": return views.cart(show)
    case "checkout": return views.checkout()
    case "orders": return views.orderConfirmation(argument)
    default: return views.notFound()
  }
}

/** A page that arrives after a newer one was asked for is dropped. */
async function show() {
  const request = ++newest
  status.textContent = "Loading…"
  let view
  try {
    view = await page()
  } catch (error) {
    view = views.failed(error)
  }
  if (request !== newest) return
  status.textContent = ""
  const heading = document.createElement("h1")
  heading.tabIndex = -1
  heading.textContent = view.heading
  main.replaceChildren(heading, ...view.content)
  document.title = `${view.heading} · ${TITLE}`
  // Screen readers announce the new page by its heading.
  heading.focus({ preventScroll: true })
  scrollTo(0, 0)
  countCart()
}

async function countCart() {
  const cart = await api.cart().catch(() => undefined)
  const count = (cart?.items ?? []).reduce((sum, line) => sum + line.quantity, 0)
  cartCount.textContent = count > 0 ? ` (${count})` : ""
}

// The part after "#" names pages, so the skip link cannot use it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault()
  main.focus()
})
addEventListener("hashchange", show)
show()
