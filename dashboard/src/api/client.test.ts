import { afterEach, expect, test, vi } from 'vitest';
import { onUnauthorized, request } from './client';
import { ApiError } from './errors';

afterEach(() => { vi.unstubAllGlobals(); });

function answer(body: string, status: number) {
  const fetch = vi.fn<(url: string, init: RequestInit) => Promise<Response>>(() => Promise.resolve(new Response(body, { status })));
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  if (!(error instanceof ApiError)) throw new Error(`not an ApiError: ${String(error)}`);
  return error;
}

test.each([
  ['GET', null],
  ['POST', 'dashboard'],
  ['PATCH', 'dashboard'],
  ['DELETE', 'dashboard'],
] as const)('%s carries the header of mutations: %s', async (method, header) => {
  const fetch = answer('{}', 200);
  await request('/k8s/x', { method, body: method === 'GET' ? undefined : {} });
  expect(new Headers(fetch.mock.calls[0]?.[1].headers).get('X-Stores-Request')).toBe(header);
});

test('a Status becomes an error with its messages by field', async () => {
  answer(JSON.stringify({
    kind: 'Status', reason: 'Invalid', code: 422, message: 'Store "x" is invalid',
    details: { causes: [{ field: 'spec.host', message: 'taken' }, { field: 'spec.host', message: 'too long' }, { message: 'odd' }] },
  }), 422);
  const error = await failure(request('/k8s/x'));
  expect(error).toMatchObject({ code: 422, reason: 'Invalid', message: 'Store "x" is invalid' });
  expect([...error.fields()]).toEqual([['spec.host', ['taken', 'too long']], ['', ['odd']]]);
});

test.each([
  ['an HTML page', '<html>Bad gateway</html>', 'The server answered 502'],
  ['a short text', 'no backend', 'no backend'],
  ['JSON of another kind', '{"oops":1}', 'The server answered 502'],
])('%s from something in between is still an error', async (_name, body, message) => {
  answer(body, 502);
  const error = await failure(request('/k8s/x'));
  expect(error.code).toBe(502);
  expect(error.message).toContain(message);
  expect(error.message).not.toContain('<');
});

test('no answer at all is an error with code 0', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
  expect((await failure(request('/k8s/x'))).code).toBe(0);
});

test('a 401 of the cluster tells that the session is over, one of the sign-in does not', async () => {
  const ended = vi.fn();
  const leave = onUnauthorized(ended);
  answer('{}', 401);
  await failure(request('/session', { method: 'POST', body: { token: 'x' } }));
  expect(ended).not.toHaveBeenCalled();
  await failure(request('/k8s/x'));
  expect(ended).toHaveBeenCalledTimes(1);
  leave();
});
