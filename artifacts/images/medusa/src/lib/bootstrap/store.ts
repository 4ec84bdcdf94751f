import type { MedusaContainer } from "@medusajs/framework/types"
import { Modules } from "@medusajs/framework/utils"
import { updateStoresWorkflow } from "@medusajs/medusa/core-flows"

import type { Settings } from "./settings"

/** The one store of this database and the channel that its storefront sells through. */
export type Store = { id: string; salesChannelId: string }

/** Gives the default store its title and currency. */
export async function nameStore(container: MedusaContainer, settings: Settings): Promise<Store> {
  const [store] = await container.resolve(Modules.STORE).listStores({}, { take: 1 })
  if (!store?.default_sales_channel_id) {
    throw new Error("the default store has no sales channel")
  }
  await updateStoresWorkflow(container).run({
    input: {
      selector: { id: store.id },
      update: {
        name: settings.title,
        supported_currencies: [{ currency_code: settings.currency, is_default: true }],
      },
    },
  })
  return { id: store.id, salesChannelId: store.default_sales_channel_id }
}
