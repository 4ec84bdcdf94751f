// prune.mjs FOLDER: takes from FOLDER/node_modules what only `medusa build` needs.
//
// Medusa declares the admin's whole front-end toolchain as runtime dependencies,
// three quarters of the installed size, though a built admin is static files.
// Kept is what the lock file reaches from the application without passing
// through a package of BUILD_ONLY.
import { readFileSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

const BUILD_ONLY = new Set([
  "@ariakit/react",
  "@hookform/resolvers",
  "@medusajs/admin-vite-plugin",
  "@medusajs/dashboard",
  "@medusajs/icons",
  "@medusajs/ui",
  "@mikro-orm/cli",
  "@swc/core",
  "@tanstack/react-query",
  "@uiw/react-json-view",
  "@vitejs/plugin-react",
  "autoprefixer",
  "date-fns",
  "esbuild",
  "figlet",
  "match-sorter",
  "postcss",
  "radix-ui",
  "react",
  "react-dom",
  "react-hook-form",
  "react-router-dom",
  "rollup",
  "tailwindcss",
  "typescript",
  "vite",
])
const DEVELOPMENT_FILE = /\.(map|md|markdown|d\.[cm]?ts)$/

const folder = process.argv[2]
const { packages } = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"))

/** Where Node finds package `name` from the package at `path`: the nearest node_modules upwards. */
function resolve(path, name) {
  for (let parent = path; ; parent = parent.slice(0, Math.max(0, parent.lastIndexOf("/node_modules/")))) {
    const candidate = parent === "" ? `node_modules/${name}` : `${parent}/node_modules/${name}`
    if (candidate in packages) return candidate
    if (parent === "") return undefined
  }
}

const kept = new Set()
const queue = [""]
for (const path of queue) {
  const { dependencies, optionalDependencies, peerDependencies } = packages[path]
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
    const target = BUILD_ONLY.has(name) ? undefined : resolve(path, name)
    if (target !== undefined && !kept.has(target)) {
      kept.add(target)
      queue.push(target)
    }
  }
}

const removed = Object.keys(packages).filter((path) => path !== "" && !kept.has(path))
// What nests in a removed package was found from there alone, so it is not kept.
for (const path of removed) {
  rmSync(join(folder, path), { recursive: true, force: true })
}
for (const entry of readdirSync(join(folder, "node_modules"), { recursive: true, withFileTypes: true })) {
  if (entry.isFile() && DEVELOPMENT_FILE.test(entry.name)) {
    rmSync(join(entry.parentPath, entry.name))
  }
}
console.log(`kept ${kept.size} of ${Object.keys(packages).length - 1} packages`)
