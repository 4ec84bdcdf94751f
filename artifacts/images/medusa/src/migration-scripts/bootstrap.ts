import type { ExecArgs } from "@medusajs/framework/types"
import { ContainerRegistrationKeys } from "@medusajs/framework/utils"
import { createDefaultsWorkflow } from "@medusajs/medusa/core-flows"

import { createAdmin } from "../lib/bootstrap/admin"
import { createDelivery } from "../lib/bootstrap/delivery"
import { createProducts } from "../lib/bootstrap/products"
import { createRegion } from "../lib/bootstrap/region"
import { readSettings } from "../lib/bootstrap/settings"
import { nameStore } from "../lib/bootstrap/store"

/**
 * Makes an empty, migrated database a shop that sells.
 *
 * Medusa runs a migration script until it has completed once and never again,
 * so what the owner changes later stays. A run may be cut short at any point:
 * every step looks for its result before it creates anything.
 */
export default async function bootstrap({ container }: ExecArgs) {
  const settings = readSettings(process.env)

  // Sales channel, store and publishable key. `medusa start` would make them
  // too, but by then the steps below need them.
  await createDefaultsWorkflow(container).run()

  const store = await nameStore(container, settings)
  const region = await createRegion(container, settings)
  const delivery = await createDelivery(container, settings, store, region)
  if (settings.sampleProducts) {
    await createProducts(container, settings, store, delivery)
  }
  await createAdmin(container, settings)

  container.resolve(ContainerRegistrationKeys.LOGGER).info("the store is set up")
}
