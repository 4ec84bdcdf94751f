import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { apply, expect, keeper, kubectl, namespace, picture, signIn, suspended, test, visitor } from './support';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Axe {
  run: (context: Document, options: object) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }>;
}

// The policy forbids injected scripts. Only these tests go past it, for axe alone:
// all others hold the pages to it.
test.use({ bypassCSP: true });

test.beforeAll(() => {
  apply(suspended('mugs', { displayName: 'Mugs' }));
  apply(suspended('rugs', { displayName: 'Rugs' }));
});

async function check(page: Page, screen: string) {
  await test.step(screen, async () => {
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: Axe }).axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
      });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary ?? ''}`).join('\n')}`);
    });
    expect(violations).toEqual([]);
    const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(width, 'no sideways scrolling').toBeLessThanOrEqual(0);
  });
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

const running = { name: 'web', ready: true, restartCount: 2, containerID: 'c1', state: { running: {} } };
const waiting = { name: 'web', ready: false, restartCount: 0, state: { waiting: { reason: 'ImagePullBackOff', message: 'the image cannot be pulled' } } };

/** Pods as a cluster tells of them: a suspended store has none. */
async function pods(page: Page) {
  const pod = (name: string, status: object) => ({
    metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { containers: [{ name: 'web' }], initContainers: [{ name: 'wait' }] }, status,
  });
  let home = 'kube-system';
  await page.route(/\/stores\?.*mugs/, async (route) => {
    if (route.request().url().includes('watch=')) return; // a stream on which nothing happens
    const list = JSON.parse(kubectl('get', '--raw', `/apis/platform.dev/v1alpha1/namespaces/${namespace}/stores?fieldSelector=metadata.name%3Dmugs`)) as { items: { status?: object }[] };
    for (const item of list.items) item.status = { ...item.status, namespace: home };
    await route.fulfill({ json: list });
  });
  await page.goto(`/stores/${namespace}/mugs?tab=pods`);
  await expect(page.getByText(/list and watch on pods in namespace kube-system/)).toBeVisible();
  await check(page, 'store: pods forbidden');

  home = 'store-mugs';
  await page.route(/\/store-mugs\/pods\?/, async (route) => {
    if (route.request().url().includes('watch=')) return;
    await route.fulfill({ json: { metadata: { resourceVersion: '1' }, items: [
      pod('web-1', { phase: 'Running', containerStatuses: [running] }), pod('web-2', { phase: 'Pending', containerStatuses: [waiting] }),
    ] } });
  });
  await page.route(/\/web-1\/log\?/, (route) => route.fulfill({ body: Array.from({ length: 40 }, (_, i) => `2026-01-01T00:00:${String(i + 10)}Z request ${String(i)} ${'of a long path '.repeat(12)}\n`).join('') }));
  await page.reload();
  await page.getByRole('button', { name: /Log of web-1/ }).click();
  await expect(page.getByRole('region', { name: 'Log of web', exact: true })).toContainText('request 39');
  await check(page, 'store: pods and a log');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
}

async function everyScreen(page: Page, pictured?: string) {
  await page.goto('/');
  await expect(button(page, 'Sign in')).toBeVisible();
  await check(page, 'sign-in');
  if (pictured) await picture(page, `sign-in-${pictured}`);
  await button(page, 'Sign in').click();
  await page.getByLabel('Bearer token').fill('wrong');
  await button(page, 'Sign in').click();
  await expect(page.getByText(/does not accept/)).toBeVisible();
  await check(page, 'sign-in refused');
  await page.goto('/?login=denied');
  await expect(page.getByRole('alert')).toContainText('You were not signed in');
  await check(page, 'sign-in at the provider failed');

  await signIn(page, keeper());
  await expect(page.getByRole('link', { name: 'Mugs' })).toBeVisible();
  await check(page, 'list');
  await page.getByLabel('Filter stores').fill('nothing like it');
  await expect(page.getByText(/No store matches/)).toBeVisible();
  await check(page, 'list without a match');
  await page.goto('/?namespace=kube-system');
  await expect(page.getByText(/You may not see/)).toBeVisible();
  await check(page, 'list forbidden');

  await page.goto(`/create?namespace=${namespace}`);
  await expect(page.getByRole('radio').first()).toBeVisible();
  await check(page, 'create: engine');
  await button(page, 'Continue').click();
  await page.getByLabel('Name', { exact: true }).fill('Bad Name');
  await button(page, 'Continue').click();
  await expect(page.locator('.field.invalid')).toBeVisible();
  await check(page, 'create: details refused');
  await page.getByLabel('Name', { exact: true }).fill('fine-name');
  await button(page, 'Continue').click();
  await page.getByRole('textbox', { name: 'Currency' }).fill('euros');
  await button(page, 'Continue').click();
  await expect(page.locator('.field.invalid')).toBeVisible();
  await check(page, 'create: settings refused');
  await page.getByRole('textbox', { name: 'Currency' }).fill('');
  await button(page, 'Continue').click();
  await expect(page.getByRole('heading', { name: 'Plan' })).toBeVisible();
  await check(page, 'create: plan');
  await button(page, 'Continue').click();
  await expect(button(page, 'Create store')).toBeVisible();
  await check(page, 'create: review');

  for (const tab of ['overview', 'pods', 'events', 'history', 'yaml']) {
    await page.goto(`/stores/${namespace}/mugs?tab=${tab}`);
    await expect(page.getByRole('heading', { name: 'Mugs' })).toBeVisible();
    await expect(page.locator('.skeleton')).toHaveCount(0);
    await check(page, `store: ${tab}`);
  }
  for (const name of ['Admin login', 'Edit', 'Delete']) {
    await button(page, name).click();
    await expect(page.locator('.dialog')).toBeVisible();
    await check(page, `store: ${name}`);
    await page.keyboard.press('Escape');
    await expect(page.locator('.dialog')).toHaveCount(0);
  }
  await button(page, 'Edit').click();
  await page.getByLabel('Protect from deletion').check();
  await button(page, 'Review').click();
  await expect(page.getByRole('heading', { name: 'This will change' })).toBeVisible();
  await check(page, 'store: an edit to review');
  await page.keyboard.press('Escape');
  await pods(page);
  await page.goto(`/stores/${namespace}/nobody`);
  await expect(page.getByText('There is no store nobody')).toBeVisible();
  await check(page, 'no such store');
  await page.goto('/nowhere');
  await expect(page.getByText('There is nothing here')).toBeVisible();
  await check(page, 'not found');
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme });

    test(`every screen is within WCAG 2.2 AA, ${colorScheme}`, async ({ page }) => {
      test.setTimeout(180_000);
      await everyScreen(page, colorScheme);
    });

    test(`every screen fits a width of 320 pixels, ${colorScheme}`, async ({ page }) => {
      test.setTimeout(180_000);
      await page.setViewportSize({ width: 320, height: 640 });
      await everyScreen(page);
    });

    test(`a reader's screens are within WCAG 2.2 AA, ${colorScheme}`, async ({ page }) => {
      await signIn(page, visitor(), `/stores/${namespace}/mugs`);
      await expect(page.getByText(/does not let you/)).toBeVisible();
      await check(page, 'store of a reader');
    });
  });
}
