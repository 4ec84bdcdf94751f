import type { MedusaRequest, MedusaResponse } from "@medusajs/framework/http"
import { Modules } from "@medusajs/framework/utils"

import { CONTENT_SECURITY_POLICY, renderIndex } from "../lib/storefront"

/** GET /: the storefront. */
export async function GET(req: MedusaRequest, res: MedusaResponse) {
  const [store] = await req.scope.resolve(Modules.STORE).listStores({}, { select: ["name"], take: 1 })
  res
    .set({
      "cache-control": "no-cache",
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "same-origin",
      "x-content-type-options": "nosniff",
    })
    .type("html")
    .send(renderIndex({ title: store?.name ?? "", publishableKey: process.env.PUBLISHABLE_KEY ?? "" }))
}
