import { apply, expect, keeper, kubectl, namespace, signIn, suspended, test, visitor } from './support';

test.beforeAll(() => {
  apply(suspended('lamps', { displayName: 'Lamps & Shades' }));
});

test('a token that the cluster does not accept is refused on its field', async ({ page }) => {
  const response = await page.goto('/');
  // Without the policy no test here could see it violated.
  expect(response?.headers()['content-security-policy']).toMatch(/default-src 'none';.*script-src 'self';.*style-src 'self';/);
  await page.getByLabel('Bearer token').fill('not.a.token');
  await page.keyboard.press('Enter');
  await expect(page.getByLabel('Bearer token')).toHaveAccessibleDescription(/does not accept this token/);
});

test('the list follows what kubectl does, without a request', async ({ page }) => {
  await signIn(page, keeper());
  await expect(page.getByRole('link', { name: 'Lamps & Shades' })).toBeVisible();
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  const requests: string[] = [];
  page.on('request', (request) => { requests.push(request.url()); });
  kubectl('-n', namespace, 'patch', 'store', 'lamps', '--type=merge', '-p', '{"spec":{"displayName":"Lamps, renamed"}}');
  await expect(page.getByRole('link', { name: 'Lamps, renamed' })).toBeVisible();
  expect(requests).toEqual([]);
});

test('a reader is told what the role does not allow', async ({ page }) => {
  await signIn(page, visitor());
  await expect(page.getByRole('button', { name: 'Create store' })).toHaveAttribute('aria-disabled', 'true');
  await page.getByRole('link', { name: /^Lamps/ }).click();
  await expect(page.getByText(/does not let you see the admin login or change or delete/)).toBeVisible();
  for (const name of ['Admin login', 'Edit', 'Hibernate', 'Delete']) {
    await expect(page.getByRole('button', { name, exact: true })).toHaveAttribute('aria-disabled', 'true');
  }
  await page.getByRole('button', { name: 'Edit', exact: true }).click({ force: true });
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.goto('/?namespace=kube-system');
  await expect(page.getByText('You may not see the stores of kube-system')).toBeVisible();
});

test('an edit of what somebody else has changed is not lost and loses nothing', async ({ page }) => {
  await signIn(page, keeper(), `/stores/${namespace}/lamps`);
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Title').fill('Lamps by me');
  kubectl('-n', namespace, 'patch', 'store', 'lamps', '--type=merge', '-p', '{"spec":{"deletionProtection":true}}');
  await expect(dialog.getByText('Somebody changed this store meanwhile')).toBeVisible();
  await expect(dialog).toContainText('spec.deletionProtection');
  await dialog.getByRole('button', { name: /keep my edits/ }).click();
  await dialog.getByRole('button', { name: 'Review' }).click();
  await expect(dialog.locator('.changes li')).toHaveText([/spec\.displayName from Lamps.* to Lamps by me/]);
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { name: 'Lamps by me' })).toBeVisible();
  const spec = JSON.parse(kubectl('-n', namespace, 'get', 'store', 'lamps', '-o', 'json')) as { spec: object };
  expect(spec.spec).toMatchObject({ displayName: 'Lamps by me', deletionProtection: true });

  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(page.getByRole('alertdialog')).toContainText('lamps is protected');
  await page.getByRole('button', { name: 'Turn protection off' }).click();
  await expect(page.getByLabel('Type lamps to confirm')).toBeVisible();
});

test('history tells who changed what, and a rollback brings an earlier spec back', async ({ page }) => {
  kubectl('-n', namespace, 'patch', 'store', 'lamps', '--type=merge', '-p', '{"spec":{"displayName":"Lamps before"}}');
  kubectl('-n', namespace, 'patch', 'store', 'lamps', '--type=merge', '-p', '{"spec":{"displayName":"Lamps after"}}');
  await signIn(page, keeper(), `/stores/${namespace}/lamps?tab=history`);
  await expect(page.getByRole('heading', { name: 'Lamps after' })).toBeVisible();
  const entries = page.locator('.history > li');
  await expect(entries.first()).toContainText('spec.displayName');
  await expect(entries.first().locator('del')).toHaveText(/Lamps before/);
  await expect(entries.first().locator('ins')).toHaveText(/Lamps after/);
  await entries.nth(1).getByRole('button', { name: /Roll back to this/ }).click();
  const dialog = page.getByRole('alertdialog');
  await expect(dialog.locator('.changes li')).toHaveText([/spec\.displayName from Lamps after to Lamps before/]);
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await expect(page.getByRole('heading', { name: 'Lamps before' })).toBeVisible();
  // The newest entry is the rollback itself, by the user who made it.
  await expect(entries.first()).toContainText(`system:serviceaccount:${namespace}:keeper`);
});

test('hibernating and waking say so', async ({ page }) => {
  await signIn(page, keeper(), `/stores/${namespace}/lamps`);
  await page.getByRole('button', { name: 'Hibernate' }).click();
  await page.getByRole('button', { name: 'Wake' }).click();
  await expect(page.getByRole('button', { name: 'Hibernate' })).toBeVisible();
  expect(kubectl('-n', namespace, 'get', 'store', 'lamps', '-o', 'jsonpath={.spec.powerState}')).toBe('Running');
});

test('the end of a session is one line, and takes nothing away', async ({ page }) => {
  await signIn(page, keeper());
  await expect(page.getByRole('link', { name: /^Lamps/ })).toBeVisible();
  await page.route('/k8s/**', (route) => route.fulfill({ status: 401, json: { kind: 'Status', code: 401, message: 'Unauthorized' } }));
  await page.getByRole('link', { name: 'Create store' }).click();
  await expect(page.getByText('Your session has ended')).toHaveCount(1);
  await page.getByRole('button', { name: 'Sign in again' }).click();
  await expect(page.getByLabel('Bearer token')).toBeVisible();
});

test('a lost connection is said, and made up for', async ({ page, context }) => {
  await page.clock.install();
  await signIn(page, keeper());
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await context.setOffline(true);
  // The browser tells at once of a closed stream; a silent one is noticed in time.
  await page.clock.runFor(155_000);
  await expect(page.getByText(/^Stale since/)).toBeVisible();
  await expect(page.getByRole('link', { name: /^Lamps/ })).toBeVisible();
  kubectl('-n', namespace, 'patch', 'store', 'lamps', '--type=merge', '-p', '{"spec":{"displayName":"Lamps meanwhile"}}');
  await context.setOffline(false);
  await page.clock.runFor(31_000);
  await expect(page.getByRole('link', { name: 'Lamps meanwhile' })).toBeVisible();
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
});

test('signing out ends the session for the server too', async ({ page }) => {
  await signIn(page, keeper());
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Bearer token')).toBeVisible();
  expect(await page.evaluate(async () => (await fetch('/session')).status)).toBe(401);
});

test('ten thousand stores are one list, a few rows and no polling', async ({ page }) => {
  const items = Array.from({ length: 10_000 }, (_, i) => ({
    metadata: { name: `shop-${String(i)}`, namespace, uid: `u${String(i)}`, resourceVersion: '1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { engine: 'medusa', version: '1', plan: 'standard', host: `shop-${String(i)}.example.com`, owner: 'alice' },
  }));
  const lists: string[] = [];
  await page.route(/\/namespaces\/[^/]+\/stores\?/, async (route) => {
    const query = new URL(route.request().url()).searchParams;
    if (query.get('watch')) return; // a stream on which nothing happens
    lists.push(query.get('continue') ?? 'first');
    const from = Number(query.get('continue') ?? 0);
    const next = from + 500 < items.length ? String(from + 500) : undefined;
    await route.fulfill({ json: { metadata: { resourceVersion: '1', continue: next }, items: items.slice(from, from + 500) } });
  });
  await page.clock.install();
  await signIn(page, keeper());
  await expect(page.getByText('10,000 waiting')).toBeVisible();
  await expect(page.getByRole('table', { name: 'Stores' })).toHaveAttribute('aria-rowcount', '10001');
  expect(await page.getByRole('row').count()).toBeLessThan(60);
  expect(lists).toHaveLength(20);

  await page.keyboard.press('End');
  await expect(page.getByRole('link', { name: 'shop-9999', exact: true })).toBeVisible();
  await page.getByLabel('Filter stores').fill('shop-4711');
  await expect(page.getByRole('link', { name: 'shop-4711', exact: true })).toBeVisible();

  const requests: string[] = [];
  page.on('request', (request) => { requests.push(request.url()); });
  await page.clock.runFor(60_000);
  expect(requests).toEqual([]);
});
