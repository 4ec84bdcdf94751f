import type { Page } from '@playwright/test';
import { parse } from 'yaml';
import { apply, expect, keeper, kubectl, namespace, signIn, test } from './support';

// An engine that nobody has written anything for.
const odd = {
  apiVersion: 'platform.dev/v1alpha1',
  kind: 'Engine',
  metadata: { name: `${namespace}-odd`, labels: { e2e: namespace } },
  spec: {
    displayName: 'Odd Shop',
    chart: { oci: 'oci://charts.example.com/odd' },
    versions: [{ name: '1.0' }, { name: '2.0' }],
    defaultVersion: '1.0',
    plans: [
      { name: 'small', description: 'To try it.', quota: { 'limits.cpu': '1' } },
      { name: 'large', description: 'For a busy shop.', quota: { 'limits.cpu': '4', 'limits.memory': '8Gi' } },
    ],
    defaultPlan: 'small',
    valuesSchema: {
      type: 'object',
      additionalProperties: false,
      required: ['theme'],
      properties: {
        theme: { type: 'string', enum: ['plain', 'dark'], description: 'How it looks.' },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        limits: {
          type: 'object',
          additionalProperties: false,
          properties: {
            productsPerPage: { type: 'integer', minimum: 1, maximum: 100, default: 24 },
            reviews: { type: 'boolean', title: 'Reviews by shoppers', default: false },
            regions: { type: 'array', maxItems: 3, items: { type: 'string', pattern: '^[a-z]+$' } },
          },
        },
      },
    },
    storefront: { service: 'web', port: 80, checks: [{ path: '/' }] },
  },
};

test.beforeAll(() => { apply(odd); });

const next = (page: Page) => page.getByRole('button', { name: 'Continue' }).click();

async function toSettings(page: Page, engine: string, name: string) {
  await signIn(page, keeper(), `/create?namespace=${namespace}`);
  await page.getByRole('radio', { name: engine }).check();
  await next(page);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await next(page);
  await expect(page.getByRole('heading', { name: 'Settings', exact: true })).toBeFocused();
}

test('an engine that the dashboard knows nothing of is asked for what it takes', async ({ page }) => {
  const name = 'odd-shop';
  await toSettings(page, 'Odd Shop', name);
  const theme = page.getByLabel('Theme', { exact: true });
  const products = page.getByRole('textbox', { name: 'Products per page' });
  const regions = page.getByRole('textbox', { name: 'Regions' });
  await expect(theme).toHaveAccessibleDescription('How it looks.');
  await expect(theme.locator('option')).toHaveText(['Left to the engine', 'plain', 'dark']);
  await expect(products).toHaveAccessibleDescription('From 1 to 100. Left empty, it is 24.');
  await expect(page.getByLabel('Reviews by shoppers').locator('option')).toHaveText(['Left to the engine: No', 'Yes', 'No']);

  await test.step('what the server has against a value stands on its field', async () => {
    await products.fill('many');
    await regions.fill('north, 2');
    await next(page);
    await expect(theme).toHaveAccessibleDescription(/[Rr]equired/);
    await expect(theme).toBeFocused();
    await expect(products).toHaveAccessibleDescription(/integer/);
    await expect(regions).toHaveAccessibleDescription(/must match/);
    await theme.selectOption('dark');
    await products.fill('500');
    await next(page);
    await expect(products).toHaveAccessibleDescription(/less than or equal to 100/);
    await expect(theme).toHaveAccessibleDescription('How it looks.');
    await products.fill('48');
    await regions.fill('north, south');
    await page.getByLabel('Reviews by shoppers').selectOption({ label: 'Yes' });
    await page.getByRole('textbox', { name: 'Labels' }).fill('{"by": "hand"}');
    await next(page);
  });

  await test.step('a plan says what it means', async () => {
    const large = page.getByRole('radio', { name: /^large/ });
    await expect(large).toHaveAccessibleName(/For a busy shop.*4 CPU.*8Gi memory/);
    await large.check();
    await next(page);
  });

  await test.step('what is shown is what is sent', async () => {
    const shown = parse(await page.getByRole('region', { name: 'store.yaml' }).innerText()) as { spec: Record<string, unknown> };
    expect(shown.spec).toEqual({
      engine: odd.metadata.name, plan: 'large',
      values: { theme: 'dark', labels: { by: 'hand' }, limits: { productsPerPage: 48, reviews: true, regions: ['north', 'south'] } },
    });
    const [request] = await Promise.all([
      page.waitForRequest((sent) => sent.method() === 'POST' && sent.url().includes('/stores?') && !sent.url().includes('dryRun')),
      page.getByRole('button', { name: 'Create store' }).click(),
    ]);
    expect(request.postDataJSON()).toEqual(shown);
    await expect(page.getByRole('heading', { name, level: 1 })).toBeVisible();
    const stored = JSON.parse(kubectl('-n', namespace, 'get', 'store', name, '-o', 'json')) as { spec: Record<string, unknown> };
    expect(stored.spec).toMatchObject(shown.spec);
  });

  await test.step('an edit is shown before it is made', async () => {
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Version').selectOption('2.0');
    await dialog.getByLabel('Plan').selectOption('small');
    await dialog.getByRole('textbox', { name: 'Products per page' }).fill('0');
    await dialog.getByRole('button', { name: 'Review' }).click();
    await expect(dialog.getByRole('textbox', { name: 'Products per page' })).toBeFocused();
    await expect(dialog.getByRole('textbox', { name: 'Products per page' })).toHaveAccessibleDescription(/greater than or equal to 1/);
    await dialog.getByRole('textbox', { name: 'Products per page' }).fill('');
    await dialog.getByRole('button', { name: 'Review' }).click();
    await expect(dialog.getByRole('heading', { name: 'This will change' })).toBeFocused();
    await expect(dialog.locator('.changes li')).toHaveText([
      /spec\.version from 1\.0 to 2\.0/, /spec\.upgradePolicy from Automatic to Manual/, /spec\.plan from large to small/,
      /spec\.values\.limits\.productsPerPage from 48/,
    ]);
    await expect(dialog).toContainText('goes back to 1.0 by itself');
    await expect(dialog).toContainText('4 CPU, 8Gi memory before, 1 CPU after');
    expect(kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.spec.version}')).toBe('1.0');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await expect(dialog).toBeHidden();
    const stored = JSON.parse(kubectl('-n', namespace, 'get', 'store', name, '-o', 'json')) as { spec: Record<string, unknown> };
    expect(stored.spec).toMatchObject({ version: '2.0', plan: 'small', values: { theme: 'dark', labels: { by: 'hand' }, limits: { reviews: true, regions: ['north', 'south'] } } });
    expect(stored.spec).not.toHaveProperty('values.limits.productsPerPage');
  });
});

for (const [engine, title] of [['medusa', /Medusa/], ['woocommerce', /WooCommerce|WordPress/]] as const) {
  test(`the settings of ${engine} are asked for and checked`, async ({ page }) => {
    test.skip(!kubectl('get', 'engines', '-o', 'name').includes(`/${engine}\n`), 'the cluster does not offer it');
    const label = JSON.parse(kubectl('get', 'engine', engine, '-o', 'json')) as { spec: { displayName: string } };
    expect(label.spec.displayName).toMatch(title);
    await toSettings(page, label.spec.displayName, `settings-${engine}`);
    const currency = page.getByRole('textbox', { name: 'Currency' });
    await currency.fill('euros');
    await next(page);
    await expect(currency).toBeFocused();
    await expect(currency).toHaveAccessibleDescription(/must match/);
    await currency.fill('usd');
    await page.getByLabel('Sample products').selectOption({ label: 'No' });
    await next(page);
    await next(page);
    await expect(page.getByText('Catalog: sample products')).toBeVisible();
    const shown = parse(await page.getByRole('region', { name: 'store.yaml' }).innerText()) as { spec: Record<string, unknown> };
    expect(shown.spec).toEqual({ engine, values: { catalog: { currency: 'usd', sampleProducts: false } } });
  });
}
