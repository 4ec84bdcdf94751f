import type { MedusaContainer } from "@medusajs/framework/types"
import { Modules } from "@medusajs/framework/utils"
import { createRegionsWorkflow, createTaxRegionsWorkflow } from "@medusajs/medusa/core-flows"

import type { Settings } from "./settings"

export type Region = { id: string }

/** Creates the region shoppers buy in, with manual payment and a tax region per country. */
export async function createRegion(container: MedusaContainer, settings: Settings): Promise<Region> {
  const region = await findOrCreateRegion(container, settings)

  const taxRegions = await container
    .resolve(Modules.TAX)
    .listTaxRegions({ country_code: settings.countries })
  const taxed = new Set(taxRegions.map((taxRegion) => taxRegion.country_code))
  const untaxed = settings.countries.filter((country) => !taxed.has(country))
  if (untaxed.length > 0) {
    await createTaxRegionsWorkflow(container).run({
      input: untaxed.map((country_code) => ({ country_code, provider_id: "tp_system" })),
    })
  }
  return region
}

async function findOrCreateRegion(container: MedusaContainer, settings: Settings): Promise<Region> {
  const [existing] = await container.resolve(Modules.REGION).listRegions({}, { take: 1 })
  if (existing) {
    return existing
  }
  const { result } = await createRegionsWorkflow(container).run({
    input: {
      regions: [
        {
          name: "Main",
          currency_code: settings.currency,
          countries: settings.countries,
          payment_providers: ["pp_system_default"],
        },
      ],
    },
  })
  return result[0]
}
