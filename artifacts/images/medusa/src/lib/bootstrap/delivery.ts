import type { MedusaContainer } from "@medusajs/framework/types"
import { ContainerRegistrationKeys, Modules } from "@medusajs/framework/utils"
import {
  createShippingOptionsWorkflow,
  createShippingProfilesWorkflow,
  createStockLocationsWorkflow,
  linkSalesChannelsToStockLocationWorkflow,
  updateStoresWorkflow,
} from "@medusajs/medusa/core-flows"

import type { Region } from "./region"
import type { Settings } from "./settings"
import type { Store } from "./store"

const LOCATION = "Main"
const FULFILLMENT_SET = "Main delivery"
const SHIPPING_OPTION = "Standard"
const SHIPPING_PRICE = 5

/** Where the goods lie and how they are shipped. */
export type Delivery = { locationId: string; shippingProfileId: string }

/** Creates a stock location and one flat-rate way to ship from it to every country of the store. */
export async function createDelivery(
  container: MedusaContainer,
  settings: Settings,
  store: Store,
  region: Region
): Promise<Delivery> {
  const locationId = await createLocation(container, settings, store)
  const shippingProfileId = await createProfile(container)
  const serviceZoneId = await createServiceZone(container, settings, locationId)

  const [option] = await container
    .resolve(Modules.FULFILLMENT)
    .listShippingOptions({ name: SHIPPING_OPTION })
  if (!option) {
    await createShippingOptionsWorkflow(container).run({
      input: [
        {
          name: SHIPPING_OPTION,
          price_type: "flat",
          provider_id: "manual_manual",
          service_zone_id: serviceZoneId,
          shipping_profile_id: shippingProfileId,
          type: { label: SHIPPING_OPTION, description: "Delivered by post", code: "standard" },
          prices: [
            { currency_code: settings.currency, amount: SHIPPING_PRICE },
            { region_id: region.id, amount: SHIPPING_PRICE },
          ],
          rules: [
            // Without this rule the Store API does not offer the option.
            { attribute: "enabled_in_store", operator: "eq", value: "true" },
            { attribute: "is_return", operator: "eq", value: "false" },
          ],
        },
      ],
    })
  }
  return { locationId, shippingProfileId }
}

/** The links are made again on a repeated run; that changes nothing. */
async function createLocation(container: MedusaContainer, settings: Settings, store: Store): Promise<string> {
  let [location] = await container.resolve(Modules.STOCK_LOCATION).listStockLocations({ name: LOCATION })
  if (!location) {
    const { result } = await createStockLocationsWorkflow(container).run({
      input: {
        locations: [
          { name: LOCATION, address: { address_1: "", country_code: settings.countries[0].toUpperCase() } },
        ],
      },
    })
    location = result[0]
  }
  await container.resolve(ContainerRegistrationKeys.LINK).create({
    [Modules.STOCK_LOCATION]: { stock_location_id: location.id },
    [Modules.FULFILLMENT]: { fulfillment_provider_id: "manual_manual" },
  })
  await linkSalesChannelsToStockLocationWorkflow(container).run({
    input: { id: location.id, add: [store.salesChannelId] },
  })
  await updateStoresWorkflow(container).run({
    input: { selector: { id: store.id }, update: { default_location_id: location.id } },
  })
  return location.id
}

/** Medusa's own migration scripts usually have made the default profile already. */
async function createProfile(container: MedusaContainer): Promise<string> {
  const [profile] = await container.resolve(Modules.FULFILLMENT).listShippingProfiles({ type: "default" })
  if (profile) {
    return profile.id
  }
  const { result } = await createShippingProfilesWorkflow(container).run({
    input: { data: [{ name: "Default Shipping Profile", type: "default" }] },
  })
  return result[0].id
}

async function createServiceZone(
  container: MedusaContainer,
  settings: Settings,
  locationId: string
): Promise<string> {
  const fulfillment = container.resolve(Modules.FULFILLMENT)
  let [set] = await fulfillment.listFulfillmentSets({ name: FULFILLMENT_SET }, { relations: ["service_zones"] })
  if (!set) {
    set = await fulfillment.createFulfillmentSets({
      name: FULFILLMENT_SET,
      type: "shipping",
      service_zones: [
        {
          name: "Main",
          geo_zones: settings.countries.map((country_code) => ({ type: "country" as const, country_code })),
        },
      ],
    })
  }
  await container.resolve(ContainerRegistrationKeys.LINK).create({
    [Modules.STOCK_LOCATION]: { stock_location_id: locationId },
    [Modules.FULFILLMENT]: { fulfillment_set_id: set.id },
  })
  return set.service_zones[0].id
}
