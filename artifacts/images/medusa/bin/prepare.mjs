// Prepares the database for this release: migrations, the first set-up of the
// store, and what the platform owns in it. May run any number of times, and be
// killed at any point: the work done is kept, the rest is done by the next run.
import { spawn } from "node:child_process"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

import { connect, isPrepared, releaseName } from "./database.mjs"

const APP = join(import.meta.dirname, "..")
const LOCK = 0x6d656475 // any number that nothing else in the store's database uses
const ATTEMPTS = 5
const RETRY_MS = 1000

// The first process of a container is not ended by a signal it does not handle.
process.once("SIGTERM", () => process.exit(143))

const release = releaseName()
for (let attempt = 1; ; attempt++) {
  try {
    await prepare()
    break
  } catch (error) {
    console.error(`preparing the database, attempt ${attempt} of ${ATTEMPTS}: ${error.message}`)
    if (attempt === ATTEMPTS) {
      process.exit(1)
    }
    await sleep(RETRY_MS)
  }
}

async function prepare() {
  const client = await connect()
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK])
    if (await isPrepared(client, release)) {
      console.log(`the database is prepared for release ${release} already`)
    } else {
      await medusa(client, "db:migrate", "--execute-safe-links", "--skip-scripts")
      await medusa(client, "db:migrate:scripts")
      await requireBootstrap(client)
    }
    await client.query("begin")
    await createPlatformSchema(client)
    await setPublishableKey(client, process.env.PUBLISHABLE_KEY)
    await setTitle(client, process.env.STORE_TITLE)
    await client.query("insert into platform.release (name) values ($1) on conflict do nothing", [release])
    await client.query("commit")
  } finally {
    await client.end().catch(() => {})
  }
}

/**
 * Runs a medusa command. With its database gone Medusa waits for ever, so the
 * command ends with our own connection, and the lock that it holds.
 */
async function medusa(client, ...args) {
  const started = Date.now()
  const child = spawn(process.execPath, [join(APP, "node_modules/@medusajs/cli/cli.js"), ...args], {
    cwd: APP,
    stdio: ["ignore", "inherit", "inherit"],
  })
  const stop = () => child.kill("SIGKILL")
  client.once("end", stop)
  try {
    const reason = await new Promise((resolve, reject) => {
      child.once("error", reject)
      child.once("exit", (code, signal) => resolve(signal ?? code))
    })
    if (reason !== 0) {
      throw new Error(`medusa ${args[0]} ended with ${reason}`)
    }
  } finally {
    client.off("end", stop)
  }
  console.log(`medusa ${args[0]} took ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

/** `db:migrate:scripts` succeeds also when it has left a script to another process. */
async function requireBootstrap(client) {
  const { rowCount } = await client.query(
    "select from script_migrations where script_name = 'bootstrap.js' and finished_at is not null"
  )
  if (rowCount !== 1) {
    throw new Error("the store's set-up has not completed")
  }
}

async function createPlatformSchema(client) {
  await client.query(`
    create schema if not exists platform;
    -- Releases that have prepared this database.
    create table if not exists platform.release (
      name text primary key,
      prepared_at timestamptz not null default now()
    );
    -- What the platform set last, to tell the owner's changes from its own.
    create table if not exists platform.applied (
      name text primary key,
      value text not null
    );
  `)
}

/**
 * Makes the store's first publishable key the one the platform has given out.
 * Keys the owner has added stay as they are.
 */
async function setPublishableKey(client, token) {
  if (!/^pk_[0-9a-f]{64}$/.test(token ?? "")) {
    throw new Error('PUBLISHABLE_KEY must be "pk_" and 64 hexadecimal digits')
  }
  const { rowCount } = await client.query("select from api_key where token = $1 and deleted_at is null", [token])
  if (rowCount > 0) {
    return
  }
  const updated = await client.query(
    `update api_key set token = $1, redacted = $2, updated_at = now() where id = (
       select id from api_key where type = 'publishable' and deleted_at is null order by created_at, id limit 1)`,
    [token, `${token.slice(0, 6)}***${token.slice(-3)}`]
  )
  if (updated.rowCount === 0) {
    console.warn("the store has no publishable key any more: its storefront cannot sell until the owner adds one")
  }
}

/** Follows a change of the title, unless the owner has changed it in the admin. */
async function setTitle(client, title) {
  const { rows } = await client.query("select value from platform.applied where name = 'title'")
  if (rows.length > 0 && rows[0].value !== title) {
    await client.query("update store set name = $1, updated_at = now() where name = $2", [title, rows[0].value])
  }
  await client.query(
    `insert into platform.applied (name, value) values ('title', $1)
       on conflict (name) do update set value = excluded.value`,
    [title]
  )
}
