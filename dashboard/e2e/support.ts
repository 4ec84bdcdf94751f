import { execFileSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { test as base, expect } from '@playwright/test';

export { expect };

const env = (name: string) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run hack/dashboard-e2e.sh`);
  return value;
};

export const namespace = env('STORES_NAMESPACE');
export const keeper = () => env('KEEPER_TOKEN');
export const visitor = () => env('VISITOR_TOKEN');

export function kubectl(...args: string[]): string {
  return execFileSync('kubectl', args, { encoding: 'utf8' });
}

export function apply(object: unknown): void {
  execFileSync('kubectl', ['apply', '-f', '-'], { input: JSON.stringify(object) });
}

/** A store that costs nothing: the provisioner leaves it alone. */
export const suspended = (name: string, spec: object = {}) => ({
  apiVersion: 'platform.dev/v1alpha1',
  kind: 'Store',
  metadata: { name, namespace },
  spec: { engine: 'medusa', suspend: true, ...spec },
});

/** Every test fails on an uncaught error or a violation of the security policy. */
export const test = base.extend<{ violations: string[] }>({
  violations: [async ({ page }, use) => {
    const found: string[] = [];
    await page.exposeFunction('reportViolation', (text: string) => { found.push(text); });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        (window as unknown as { reportViolation: (text: string) => void }).reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    page.on('pageerror', (error) => { found.push(String(error)); });
    await use(found);
    expect(found).toEqual([]);
  }, { auto: true }],
});

export async function signIn(page: Page, token: string, path = `/?namespace=${namespace}`): Promise<void> {
  await page.goto(path);
  await page.getByLabel('Bearer token').fill(token);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('link', { name: 'Stores, the list' })).toBeVisible();
}

/** Writes a picture for the docs, when asked for. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env.PICTURES) await page.screenshot({ path: `../docs/images/dashboard-${name}.png`, animations: 'disabled' });
}
