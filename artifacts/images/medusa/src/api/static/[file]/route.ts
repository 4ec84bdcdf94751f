import { join } from "node:path"

import type { MedusaRequest, MedusaResponse } from "@medusajs/framework/http"

/**
 * GET /static/:file, reached only for what is not in the public upload folder:
 * exports and other private files. The middleware admits admin users only.
 */
export async function GET(req: MedusaRequest, res: MedusaResponse) {
  res.set("cache-control", "private, no-store")
  await new Promise<void>((resolve) => {
    res.sendFile(req.params.file, { root: join(process.cwd(), "private") }, (error) => {
      if (error && !res.headersSent) {
        res.sendStatus(404)
      }
      resolve()
    })
  })
}
