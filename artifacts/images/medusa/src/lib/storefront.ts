import { readFileSync } from "node:fs"
import { join } from "node:path"

const FOLDER = join(process.cwd(), "storefront")
const INDEX = readFileSync(join(FOLDER, "index.html"), "utf8")

const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
}

/** The storefront loads nothing from elsewhere but product images, which owners may host anywhere. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: https:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ")

export type Asset = { type: string; content: Buffer }

const ASSETS = new Map<string, Asset>(
  ["app.js", "api.js", "views.js", "style.css", "icon.svg"].map((file) => [
    file,
    { type: TYPES[file.slice(file.lastIndexOf("."))], content: readFileSync(join(FOLDER, file)) },
  ])
)

/** One of the storefront's fixed files, or undefined. */
export function asset(file: string): Asset | undefined {
  return ASSETS.get(file)
}

/** The storefront's page with the store's title and publishable key filled in. */
export function renderIndex(values: { title: string; publishableKey: string }): string {
  const escaped: Record<string, string> = {
    title: escapeHtml(values.title),
    publishableKey: escapeHtml(values.publishableKey),
  }
  // A function, because in a replacement string "$&" and the like have a meaning.
  return INDEX.replace(/\{\{(\w+)\}\}/g, (_, name: string) => escaped[name])
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
