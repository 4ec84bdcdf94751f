import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LogStream } from './log';

interface Call {
  query: URLSearchParams;
  write: (text: string) => void;
  end: () => void;
  refuse: (code: number) => void;
}

const calls: Call[] = [];
let stop: (() => void) | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  calls.length = 0;
  vi.stubGlobal('fetch', (url: string) => new Promise<Response>((resolve) => {
    let stream!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (controller) => { stream = controller; } });
    const answer = () => { resolve(new Response(body)); };
    calls.push({
      query: new URL(url, 'http://test').searchParams,
      write: (text) => { answer(); stream.enqueue(new TextEncoder().encode(text)); },
      end: () => { answer(); stream.close(); },
      refuse: (code) => { resolve(new Response(JSON.stringify({ kind: 'Status', code, message: 'no' }), { status: code })); },
    });
  }));
});

afterEach(() => {
  stop?.();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = (milliseconds = 150) => vi.advanceTimersByTimeAsync(milliseconds);

function open(follow = true) {
  const log = new LogStream('/k8s/log', 'web', follow);
  stop = log.subscribe(() => undefined);
  return log;
}

/** The newest call; the one of the index, which must be the last. */
function call(index: number): Call {
  expect(calls).toHaveLength(index + 1);
  return calls[index] as Call;
}

const texts = (log: LogStream) => log.getSnapshot().lines.map(({ text }) => text);

test('shows lines as they come, without what colours them', async () => {
  const log = open();
  call(0).write('2026-01-01T00:00:00.1Z on\u001b[32me\u001b[0m\n2026-01-01T00:00:00.2Z tw');
  await settle();
  expect(texts(log)).toEqual(['one']);
  call(0).write('o words\n');
  await settle();
  expect(texts(log)).toEqual(['one', 'two words']);
  expect(log.getSnapshot()).toMatchObject({ phase: 'live', lines: [{ time: '2026-01-01T00:00:00.1Z' }, { time: '2026-01-01T00:00:00.2Z' }] });
  expect(Object.fromEntries(call(0).query)).toEqual({ container: 'web', follow: 'true', timestamps: 'true', tailLines: '500' });
});

test('goes on after the last line when the stream ends, once', async () => {
  const log = open();
  call(0).write('2026-01-01T00:00:01.1Z one\n2026-01-01T00:00:01.1Z at the same time\n');
  call(0).end();
  await settle(600);
  expect(call(1).query.get('sinceTime')).toBe('2026-01-01T00:00:01.1Z');
  expect(call(1).query.get('tailLines')).toBeNull();
  call(1).write('2026-01-01T00:00:01.0Z before\n2026-01-01T00:00:01.1Z one\n2026-01-01T00:00:01.2Z two\n');
  await settle();
  expect(texts(log)).toEqual(['one', 'at the same time', 'two']);
});

test('reads the log of a container that has ended once', async () => {
  const log = open(false);
  call(0).write('2026-01-01T00:00:00Z bye\n');
  call(0).end();
  await settle(60_000);
  expect(texts(log)).toEqual(['bye']);
  expect(log.getSnapshot().phase).toBe('ended');
  expect(calls).toHaveLength(1);
});

test.each([400, 401, 403, 404])('does not try again what is refused: %i', async (code) => {
  const log = open();
  call(0).refuse(code);
  await settle(60_000);
  expect(log.getSnapshot()).toMatchObject({ phase: 'failed', error: { code } });
  expect(calls).toHaveLength(1);
  log.retry();
  call(1).write('2026-01-01T00:00:00Z back\n');
  await settle();
  expect(texts(log)).toEqual(['back']);
});

test('tries again after an outage', async () => {
  const log = open();
  call(0).refuse(503);
  await settle(600);
  call(1).write('2026-01-01T00:00:00Z back\n');
  await settle();
  expect(log.getSnapshot()).toMatchObject({ phase: 'live', error: undefined });
});

test('keeps the newest lines only', async () => {
  const log = open();
  call(0).write(Array.from({ length: 2500 }, (_, i) => `2026-01-01T00:00:00.${String(i).padStart(4, '0')}Z ${String(i)}\n`).join(''));
  await settle();
  expect(texts(log)).toHaveLength(2000);
  expect(texts(log).at(-1)).toBe('2499');
});
