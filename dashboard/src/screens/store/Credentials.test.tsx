import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Store } from '../../api/types';
import { Credentials } from './Credentials';

const store: Store = {
  metadata: { name: 'tea', namespace: 'team', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { engine: 'medusa' },
};

const answers = vi.fn<(url: string) => Promise<Response>>();
const settle = (milliseconds = 0) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', answers);
  answers.mockImplementation(() => Promise.resolve(new Response(JSON.stringify({ username: 'admin@tea', password: 's3cret', adminURL: 'http://tea/app' }))));
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  answers.mockReset();
});

async function open() {
  const view = render(<Credentials store={store} onClose={() => undefined} />);
  await settle();
  return view;
}

async function reveal() {
  fireEvent.click(screen.getByRole('button', { name: 'Reveal' }));
  await settle();
}

test('nothing is asked for before the user wants to see it', async () => {
  await open();
  expect(answers).not.toHaveBeenCalled();
  await reveal();
  expect(answers).toHaveBeenCalledTimes(1);
  expect(answers.mock.calls[0]?.[0]).toBe('/k8s/apis/platform.dev/v1alpha1/namespaces/team/stores/tea/credentials');
  expect(screen.getByText('s3cret')).toBeTruthy();
});

test('the login hides after half a minute, and is asked for anew', async () => {
  await open();
  await reveal();
  await settle(29_000);
  expect(screen.getByText('s3cret')).toBeTruthy();
  await settle(1_500);
  expect(document.body.innerHTML).not.toContain('s3cret');
  await reveal();
  expect(answers).toHaveBeenCalledTimes(2);
});

test('a dialog opened again knows nothing of the login', async () => {
  const view = await open();
  await reveal();
  view.unmount();
  await open();
  expect(document.body.innerHTML).not.toContain('s3cret');
});

test.each([
  [403, 'You may not see it'],
  [404, 'There is no login to show yet'],
  [503, 'Cannot get it'],
])('says why there is none: %i', async (code, title) => {
  answers.mockImplementation(() => Promise.resolve(new Response(JSON.stringify({ kind: 'Status', code, message: `because of ${String(code)}` }), { status: code })));
  await open();
  await reveal();
  expect(screen.getByText(title)).toBeTruthy();
  expect(screen.getByText(`because of ${String(code)}`)).toBeTruthy();
});
