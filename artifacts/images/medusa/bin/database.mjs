// The store's database as the programs in this folder use it: a connection, and
// the schema "platform", which holds what the platform itself must remember.
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

import pg from "pg"

const APP = join(import.meta.dirname, "..")
const POLL_MS = 200
const CONNECT_TIMEOUT_MS = 3000

/**
 * Connects, trying again for as long as the database refuses: a pod of it may be
 * just starting. A lost connection rejects the query in progress.
 */
export async function connect() {
  for (let reported; ; await sleep(POLL_MS)) {
    const client = new pg.Client({
      host: process.env.DATABASE_HOST ?? "postgres",
      port: Number(process.env.DATABASE_PORT ?? 5432),
      user: process.env.DATABASE_USER ?? "medusa",
      password: process.env.DATABASE_PASSWORD,
      database: process.env.DATABASE_NAME ?? "medusa",
      ssl: process.env.DATABASE_SSL === "true",
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    })
    // Without a listener a connection lost between queries ends the process.
    client.on("error", () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      const message = error.message || error.code
      if (message !== reported) {
        console.log(`waiting for the database: ${message}`)
        reported = message
      }
    }
  }
}

/**
 * Names what this image would make of a database: equal images have equal names,
 * and a change of Medusa's version, of its settings or of our code gives another.
 */
export function releaseName() {
  const hash = createHash("sha256")
  const sources = readdirSync(join(APP, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  for (const file of [join(APP, "package-lock.json"), join(APP, "medusa-config.js"), ...sources]) {
    hash.update(file).update("\0").update(readFileSync(file)).update("\0")
  }
  return hash.digest("hex").slice(0, 16)
}

/** Whether this release has completed its work on the database. */
export async function isPrepared(client, release) {
  const { rows } = await client.query("select to_regclass('platform.release') is not null as exists")
  if (!rows[0].exists) {
    return false
  }
  const { rowCount } = await client.query("select from platform.release where name = $1", [release])
  return rowCount === 1
}
