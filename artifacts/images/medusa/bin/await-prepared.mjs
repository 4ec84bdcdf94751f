// Returns once the database is prepared for this release (see prepare.mjs), so
// that the server never starts on a schema that is older than its code.
import { setTimeout as sleep } from "node:timers/promises"

import { connect, isPrepared, releaseName } from "./database.mjs"

const POLL_MS = 250

// The first process of a container is not ended by a signal it does not handle.
process.once("SIGTERM", () => process.exit(143))

const release = releaseName()
console.log(`waiting for the database to be prepared for release ${release}`)

for (let prepared = false; !prepared; ) {
  const client = await connect()
  try {
    while (!(prepared = await isPrepared(client, release))) {
      await sleep(POLL_MS)
    }
  } catch (error) {
    console.log(`asking the database: ${error.message}`)
    await sleep(POLL_MS)
  } finally {
    await client.end().catch(() => {})
  }
}
