import type { Page } from '@playwright/test';
import { expect, keeper, kubectl, namespace, picture, test } from './support';

/** Presses Tab until the named element has the focus, as a keyboard user does. */
async function tabTo(page: Page, role: 'button' | 'link' | 'textbox' | 'radio' | 'tab', name: string) {
  const target = page.getByRole(role, { name, exact: true }).first();
  await expect(target).toBeVisible();
  for (let presses = 0; presses < 60; presses++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not reach ${role} ${name}`);
}

async function press(page: Page, role: 'button' | 'link', name: string) {
  await tabTo(page, role, name);
  await page.keyboard.press('Enter');
}

async function listPictures(page: Page) {
  await page.getByRole('link', { name: /^Stores of/ }).click();
  await expect(page.getByRole('link', { name: 'The Tea House' })).toBeVisible();
  await picture(page, 'list-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'list-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'The Tea House', level: 1 })).toBeVisible();
}

test('a store lives its life by keyboard alone: create, ready, login, delete', async ({ page, context }) => {
  test.setTimeout(15 * 60_000);
  const name = 'tea-house';
  await page.goto(`/?namespace=${namespace}`);
  await tabTo(page, 'textbox', 'Bearer token').catch(() => page.getByLabel('Bearer token').focus());
  await page.keyboard.insertText(keeper());
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Stores', exact: true })).toBeVisible();

  await test.step('no script can read the token', async () => {
    expect(await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(keeper().slice(0, 20));
    for (const cookie of await context.cookies()) expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  });

  await test.step('create', async () => {
    await press(page, 'link', 'Create store');
    // The arrows choose among engines, of which other tests may have brought some.
    await page.getByRole('radio', { checked: true }).focus();
    for (let presses = 0; presses < 10 && !(await page.getByRole('radio', { name: /^MedusaJS/ }).isChecked()); presses++) await page.keyboard.press('ArrowDown');
    await press(page, 'button', 'Continue');
    await expect(page.getByRole('heading', { name: 'Name and address' })).toBeFocused();
    await tabTo(page, 'textbox', 'Title');
    await page.keyboard.insertText('The Tea House');
    await tabTo(page, 'textbox', 'Name');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText('Tea House');
    await press(page, 'button', 'Continue');
    // The server's own words, on the field they are about, which has the focus.
    const field = page.getByRole('textbox', { name: 'Name', exact: true });
    await expect(field).toBeFocused();
    await expect(field).toHaveAccessibleDescription(/RFC 1123|lower.?case/i);
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(name);
    await press(page, 'button', 'Continue');
    await expect(page.getByRole('heading', { name: 'Settings', exact: true })).toBeFocused();
    await tabTo(page, 'textbox', 'Currency');
    await page.keyboard.insertText('gbp');
    await picture(page, 'settings');
    await press(page, 'button', 'Continue');
    await expect(page.getByRole('heading', { name: 'Plan', exact: true })).toBeFocused();
    await picture(page, 'create');
    await press(page, 'button', 'Continue');
    await expect(page.getByText('displayName: The Tea House')).toBeVisible();
    await press(page, 'button', 'Create store');
    await expect(page.getByRole('heading', { name: 'The Tea House', level: 1 })).toBeVisible();
    expect(kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.spec.values}')).toBe('{"catalog":{"currency":"gbp"}}');
  });

  await test.step('becomes ready while one watches', async () => {
    await expect(page.locator('.timeline > .Running, .timeline > .Done').first()).toBeVisible({ timeout: 60_000 });
    await picture(page, 'steps');
    await expect(page.locator('.store-title').getByText('Ready')).toBeVisible({ timeout: 8 * 60_000 });
    await expect(page.locator('.timeline > .Done')).toHaveCount(6);
    expect(kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')).toBe('True');
    await picture(page, 'store');
    if (process.env.PICTURES) await listPictures(page);
  });

  await test.step('shows the events', async () => {
    await tabTo(page, 'tab', 'Overview');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await expect(page.locator('.events').getByText('The shop sells at').first()).toBeVisible();
  });

  await test.step('shows the pods and their logs to whom the cluster lets', async () => {
    const ns = kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.status.namespace}');
    await page.getByRole('tab', { name: 'Events' }).focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    await expect(page.getByText(`It takes the right to list and watch on pods in namespace ${ns}`)).toBeVisible();
    kubectl('-n', ns, 'create', 'rolebinding', 'looker', '--clusterrole=view', `--serviceaccount=${namespace}:keeper`);
    await press(page, 'button', 'Try again');
    const pod = await page.locator('.pods > li', { hasText: 'medusa' }).filter({ hasText: '1 of 1 ready' }).locator('.pod-name').innerText();
    await press(page, 'button', `Log of ${pod}`);
    await expect(page.locator('.log-head').getByText('Live', { exact: true })).toBeVisible();
    const shopper = await page.context().newPage();
    await shopper.goto(`${kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.status.url}')}/looking-for-tea`);
    await shopper.close();
    await expect(page.locator('pre.log')).toContainText('/looking-for-tea');
    await picture(page, 'pods');
    kubectl('-n', ns, 'delete', 'rolebinding', 'looker');
  });

  await test.step('shows the login, and forgets it', async () => {
    await page.getByRole('button', { name: 'Admin login' }).focus();
    await page.keyboard.press('Enter');
    await press(page, 'button', 'Reveal');
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByText(/Hides in \d+ s/)).toBeVisible();
    const password = await dialog.locator('dd code').last().innerText();
    const ns = kubectl('-n', namespace, 'get', 'store', name, '-o', 'jsonpath={.status.namespace}');
    expect(password).toBe(kubectl('-n', ns, 'get', 'secret', 'store-credentials', '-o', 'go-template={{index .data "admin-password" | base64decode}}'));
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
    await expect(page.getByRole('button', { name: 'Admin login' })).toBeFocused();
    expect(await page.content()).not.toContain(password);
  });

  await test.step('deletes it only by its name, and watches it go', async () => {
    await page.getByRole('button', { name: 'Delete', exact: true }).focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('alertdialog')).toContainText('every product, customer and order');
    await tabTo(page, 'textbox', `Type ${name} to confirm`);
    await page.keyboard.insertText('tea');
    await page.keyboard.press('Enter');
    await expect(page.getByText(`This is not ${name}.`)).toBeVisible();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(name);
    await page.keyboard.press('Enter');
    await expect(page.locator('.store-title').getByText('Deleting')).toBeVisible();
    await expect(page.getByRole('heading', { name: 'The Tea House is gone' })).toBeVisible({ timeout: 5 * 60_000 });
    expect(kubectl('-n', namespace, 'get', 'stores', '-o', 'name')).not.toContain(name);
  });
});
