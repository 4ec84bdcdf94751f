import type { MedusaContainer } from "@medusajs/framework/types"
import { Modules } from "@medusajs/framework/utils"
import { createUserAccountWorkflow } from "@medusajs/medusa/core-flows"

import type { Settings } from "./settings"

const PROVIDER = "emailpass"

/** Creates the admin user and its login, unless a user of that address exists. */
export async function createAdmin(container: MedusaContainer, settings: Settings): Promise<void> {
  const email = settings.adminEmail
  const [user] = await container.resolve(Modules.USER).listUsers({ email })
  if (user) {
    return
  }
  await createUserAccountWorkflow(container).run({
    input: { authIdentityId: await registerLogin(container, settings), userData: { email } },
  })
}

/** A run that was cut short may have left the login without its user. */
async function registerLogin(container: MedusaContainer, settings: Settings): Promise<string> {
  const auth = container.resolve(Modules.AUTH)
  const [existing] = await auth.listAuthIdentities({
    provider_identities: { entity_id: settings.adminEmail, provider: PROVIDER },
  })
  if (existing) {
    return existing.id
  }
  const { success, authIdentity, error } = await auth.register(PROVIDER, {
    body: { email: settings.adminEmail, password: settings.adminPassword },
  })
  if (!success || !authIdentity) {
    throw new Error(`registering the admin login: ${error}`)
  }
  return authIdentity.id
}
