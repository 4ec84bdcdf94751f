import type { MedusaRequest, MedusaResponse } from "@medusajs/framework/http"

import { databaseReadiness } from "../../../lib/readiness"

/**
 * GET /ready/database: 200 when the database answers, else 503.
 *
 * This is for the pod's readiness probe. The whole of /ready would not do there:
 * an owner who takes the last product off sale must still reach the admin.
 */
export async function GET(req: MedusaRequest, res: MedusaResponse) {
  const result = await databaseReadiness(req.scope)
  res.set("cache-control", "no-store").status(result.ready ? 200 : 503).json(result)
}
