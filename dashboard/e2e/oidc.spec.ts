import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Provider from 'oidc-provider';
import { expect, kubectl, test } from './support';

// A provider of its own, with its own pages to log in at, and a dashboard whose
// users log in there. The cluster has never heard of the provider.
let provider: Server;
let dashboard: ChildProcess;
let url: string;
const folder = mkdtempSync(join(tmpdir(), 'dashboard-oidc-'));

const listen = (server: Server) => new Promise<number>((resolve) => {
  server.listen(0, '127.0.0.1', () => { resolve((server.address() as AddressInfo).port); });
});

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test.beforeAll(async () => {
  const port = await freePort();
  url = `http://localhost:${String(port)}`;
  provider = createServer();
  const issuer = `http://localhost:${String(await listen(provider))}`;
  const oidc = new Provider(issuer, {
    clients: [{ client_id: 'dashboard', redirect_uris: [`${url}/login/callback`], token_endpoint_auth_method: 'none' }],
  });
  const answer = oidc.callback();
  provider.on('request', (request, response) => { void answer(request, response); });

  const cluster = JSON.parse(kubectl('config', 'view', '--raw', '--minify', '-o', 'json')) as { clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }] };
  const { server, 'certificate-authority-data': ca } = cluster.clusters[0].cluster;
  writeFileSync(join(folder, 'ca.crt'), Buffer.from(ca, 'base64'));
  dashboard = spawn('dashboard', [
    `--bind-address=127.0.0.1:${String(port)}`, `--external-url=${url}`, '--health-bind-address=127.0.0.1:0',
    `--kube-url=${server}`, `--kube-ca-file=${join(folder, 'ca.crt')}`,
    `--oidc-issuer-url=${issuer}`, '--oidc-client-id=dashboard', '--oidc-scopes=openid',
  ], { stdio: ['ignore', 'ignore', 'inherit'] });
  await expect(async () => { expect((await fetch(url)).ok).toBe(true); }).toPass({ timeout: 20_000 });
});

test.afterAll(() => {
  dashboard.kill();
  provider.closeAllConnections();
  provider.close();
  rmSync(folder, { recursive: true });
});

const enter = 'Sign in with your organisation';

test('whom the cluster does not accept is told so, and can try again', async ({ page }) => {
  await page.goto(url);
  await page.getByRole('link', { name: enter }).click();
  await page.getByPlaceholder('Enter any login').fill('alice');
  await page.getByPlaceholder('and password').fill('secret');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('alert')).toContainText('The cluster does not accept your organisation’s sign-in');
  expect(new URL(page.url()).origin).toBe(url);
  expect((await page.context().cookies(url)).map(({ name }) => name)).not.toContain('stores-session-0');
  // Alice is still logged in at the provider, and so is back at once.
  await page.getByRole('link', { name: 'Try again with your organisation' }).click();
  await expect(page.getByRole('alert')).toContainText('The cluster does not accept');
});

test('who leaves the login is back at the door', async ({ page }) => {
  await page.goto(url);
  await page.getByRole('link', { name: enter }).click();
  await page.getByRole('link', { name: /Cancel/ }).click();
  await expect(page.getByRole('alert')).toContainText('You were not signed in');
  await expect(page.getByLabel('Bearer token')).toBeVisible();
});

test('an answer to another login, and one that comes again, are not used', async ({ page, context }) => {
  await page.goto(url);
  await page.getByRole('link', { name: enter }).click();
  await expect(page.getByPlaceholder('Enter any login')).toBeVisible();
  await page.goto(`${url}/login/callback?code=stolen&state=of-somebody-else`);
  await expect(page.getByRole('alert')).toContainText('This answer belongs to another sign-in');
  await page.goto(`${url}/login/callback?code=stolen&state=of-somebody-else`);
  await expect(page.getByRole('alert')).toContainText('This sign-in is over');
  expect(await context.cookies(url)).toEqual([]);
});

test('an address cannot put words on the page', async ({ page }) => {
  for (const word of ['constructor', 'You%20have%20won']) {
    await page.goto(`${url}/?login=${word}`);
    await expect(page.getByRole('link', { name: enter })).toBeVisible();
    await expect(page.getByRole('alert')).toHaveCount(0);
  }
});
