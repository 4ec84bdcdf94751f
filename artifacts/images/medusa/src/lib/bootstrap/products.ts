import type { MedusaContainer } from "@medusajs/framework/types"
import { Modules, ProductStatus } from "@medusajs/framework/utils"
import { createInventoryLevelsWorkflow, createProductsWorkflow } from "@medusajs/medusa/core-flows"

import type { Delivery } from "./delivery"
import type { Settings } from "./settings"
import type { Store } from "./store"

const STOCK = 1000

const SAMPLES = [
  {
    handle: "t-shirt",
    title: "T-Shirt",
    description: "A plain cotton shirt. Replace it with something of your own.",
    price: 20,
    sizes: ["S", "M", "L"],
  },
  {
    handle: "mug",
    title: "Mug",
    description: "Holds a third of a litre of whatever keeps you going.",
    price: 9,
    sizes: ["One size"],
  },
]

/** Creates the sample products, published, priced and in stock. */
export async function createProducts(
  container: MedusaContainer,
  settings: Settings,
  store: Store,
  delivery: Delivery
): Promise<void> {
  const existing = await container
    .resolve(Modules.PRODUCT)
    .listProducts({ handle: SAMPLES.map((sample) => sample.handle) }, { withDeleted: true })
  const handles = new Set(existing.map((product) => product.handle))
  const missing = SAMPLES.filter((sample) => !handles.has(sample.handle))
  if (missing.length > 0) {
    await createProductsWorkflow(container).run({
      input: { products: missing.map((sample) => productInput(sample, settings, store, delivery)) },
    })
  }
  await stock(container, delivery.locationId)
}

function productInput(sample: (typeof SAMPLES)[number], settings: Settings, store: Store, delivery: Delivery) {
  return {
    title: sample.title,
    handle: sample.handle,
    description: sample.description,
    status: ProductStatus.PUBLISHED,
    // Without its profile a product cannot be shipped, and checkout fails.
    shipping_profile_id: delivery.shippingProfileId,
    sales_channels: [{ id: store.salesChannelId }],
    options: [{ title: "Size", values: sample.sizes }],
    variants: sample.sizes.map((size) => ({
      title: size,
      sku: `${sample.handle}-${size}`.toUpperCase().replaceAll(" ", "-"),
      options: { Size: size },
      prices: [{ currency_code: settings.currency, amount: sample.price }],
    })),
  }
}

/** Puts stock where an item has none at the location: what a cut-short run has left. */
async function stock(container: MedusaContainer, locationId: string): Promise<void> {
  const inventory = container.resolve(Modules.INVENTORY)
  const items = await inventory.listInventoryItems({}, { select: ["id"] })
  const levels = await inventory.listInventoryLevels({ location_id: locationId })
  const stocked = new Set(levels.map((level) => level.inventory_item_id))
  const unstocked = items.filter((item) => !stocked.has(item.id))
  if (unstocked.length > 0) {
    await createInventoryLevelsWorkflow(container).run({
      input: {
        inventory_levels: unstocked.map((item) => ({
          inventory_item_id: item.id,
          location_id: locationId,
          stocked_quantity: STOCK,
        })),
      },
    })
  }
}
