import type { MedusaRequest, MedusaResponse } from "@medusajs/framework/http"

import { storeReadiness } from "../../lib/readiness"

/** GET /ready: 200 when the store sells, else 503; the body names each check. */
export async function GET(req: MedusaRequest, res: MedusaResponse) {
  const result = await storeReadiness(req.scope, `http://127.0.0.1:${req.socket.localPort}`)
  res.set("cache-control", "no-store").status(result.ready ? 200 : 503).json(result)
}
