import type { MedusaRequest, MedusaResponse } from "@medusajs/framework/http"

import { asset } from "../../../lib/storefront"

/** GET /assets/:file: the storefront's script, style and icon. */
export async function GET(req: MedusaRequest, res: MedusaResponse) {
  const found = asset(req.params.file)
  if (!found) {
    res.sendStatus(404)
    return
  }
  res
    .set({ "cache-control": "no-cache", "x-content-type-options": "nosniff" })
    .type(found.type)
    .send(found.content)
}
