import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LiveList } from './live';
import type { KubeObject } from './types';

interface Call {
  url: URL;
  signal: AbortSignal;
  respond: (response: Response) => void;
  fail: () => void;
}

const calls: Call[] = [];
let stop: (() => void) | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  calls.length = 0;
  vi.stubGlobal('fetch', (url: string, init: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      const signal = init.signal as AbortSignal;
      signal.addEventListener('abort', () => { reject(new DOMException('Aborted', 'AbortError')); });
      calls.push({ url: new URL(url, 'http://test'), signal, respond: resolve, fail: () => { reject(new TypeError('network')); } });
    }),
  );
});

afterEach(() => {
  stop?.();
  stop = undefined;
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const object = (name: string, resourceVersion: string): KubeObject => ({ metadata: { name, uid: `uid-${name}`, resourceVersion, creationTimestamp: '2026-01-01T00:00:00Z' } });
const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });
const page = (resourceVersion: string, items: KubeObject[], next?: string) => json({ metadata: { resourceVersion, continue: next }, items });
const event = (type: string, name: string, resourceVersion: string) => `${JSON.stringify({ type, object: object(name, resourceVersion) })}\n`;
const settle = (milliseconds = 60) => vi.advanceTimersByTimeAsync(milliseconds);

function stream() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (c) => { controller = c; } });
  const encoder = new TextEncoder();
  return {
    response: new Response(body),
    write: (text: string) => { controller.enqueue(encoder.encode(text)); },
    writeBytes: (bytes: Uint8Array) => { controller.enqueue(bytes); },
    end: () => { controller.close(); },
    fail: () => { controller.error(new TypeError('network')); },
  };
}

/** The call that has not been answered yet, which must be the only new one. */
async function next(index: number): Promise<Call> {
  await settle(0);
  expect(calls).toHaveLength(index + 1);
  const call = calls[index];
  if (!call) throw new Error('no call');
  return call;
}

const kind = (call: Call) => (call.url.searchParams.get('watch') ? `watch ${call.url.searchParams.get('resourceVersion') ?? ''}` : 'list');

/** A list that has listed "a" at 10 and watches. */
async function watching() {
  const list = new LiveList<KubeObject>('/k8s/things');
  stop = list.subscribe(() => undefined);
  (await next(0)).respond(page('10', [object('a', '9')]));
  const source = stream();
  const watch = await next(1);
  watch.signal.addEventListener('abort', source.fail);
  watch.respond(source.response);
  await settle();
  return { list, source, names: () => list.getSnapshot().items.map((item) => item.metadata.name) };
}

describe('LiveList', () => {
  test('lists, then watches from the version of the list with bookmarks', async () => {
    const { list, names } = await watching();
    expect(calls.map(kind)).toEqual(['list', 'watch 10']);
    expect(calls[1]?.url.searchParams.get('allowWatchBookmarks')).toBe('true');
    expect(list.getSnapshot().phase).toBe('live');
    expect(names()).toEqual(['a']);
  });

  test('shows the first page before the last has come, and watches from the last', async () => {
    const list = new LiveList<KubeObject>('/k8s/things');
    stop = list.subscribe(() => undefined);
    (await next(0)).respond(page('10', [object('a', '1')], 'more'));
    const second = await next(1);
    expect(list.getSnapshot()).toMatchObject({ phase: 'loading', items: [{ metadata: { name: 'a' } }] });
    expect(second.url.searchParams.get('continue')).toBe('more');
    second.respond(page('10', [object('b', '2')]));
    expect(kind(await next(2))).toBe('watch 10');
    expect(list.getSnapshot().items).toHaveLength(2);
  });

  test('applies events that come in pieces, cut within a character', async () => {
    const { source, names } = await watching();
    const bytes = new TextEncoder().encode(event('ADDED', 'bé', '11') + event('DELETED', 'a', '12'));
    for (const byte of bytes) source.writeBytes(new Uint8Array([byte]));
    await settle();
    expect(names()).toEqual(['bé']);
  });

  test('makes one render of many events', async () => {
    const { list, source } = await watching();
    const renders = vi.fn();
    const leave = list.subscribe(renders);
    source.write(Array.from({ length: 100 }, (_, i) => event('ADDED', `n${String(i)}`, String(100 + i))).join(''));
    await settle();
    leave();
    expect(renders).toHaveBeenCalledTimes(1);
    expect(list.getSnapshot().items).toHaveLength(101);
  });

  test('resumes an ended watch where its last bookmark was, without listing', async () => {
    const { source, list } = await watching();
    source.write(event('MODIFIED', 'a', '11') + event('BOOKMARK', '', '50'));
    await settle();
    source.end();
    await settle(500);
    expect(kind(await next(2))).toBe('watch 50');
    expect(list.getSnapshot()).toMatchObject({ phase: 'live', items: [{ metadata: { name: 'a' } }] });
  });

  test.each([
    ['as an event', async ({ source }: Awaited<ReturnType<typeof watching>>) => {
      source.write(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`);
      await settle(1000);
      return 2;
    }],
    ['as the answer to a watch', async ({ source }: Awaited<ReturnType<typeof watching>>) => {
      source.end();
      await settle(500);
      (await next(2)).respond(json({ kind: 'Status', code: 410, reason: 'Expired' }, 410));
      await settle(1000);
      return 3;
    }],
  ])('lists again when the server has forgotten the version, told %s', async (_name, forget) => {
    const context = await watching();
    const index = await forget(context);
    const call = await next(index);
    expect(kind(call)).toBe('list');
    expect(context.names()).toEqual(['a']);
    call.respond(page('90', [object('z', '80')]));
    expect(kind(await next(index + 1))).toBe('watch 90');
    expect(context.names()).toEqual(['z']);
  });

  test('says reconnecting, then stale, waits longer each time, and is live again', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { list, source } = await watching();
    source.fail();
    await settle(0);
    expect(list.getSnapshot().phase).toBe('reconnecting');
    for (const [index, delay] of [500, 1000, 2000, 4000, 8000].entries()) {
      await settle(delay - 1);
      expect(calls).toHaveLength(2 + index);
      await settle(1);
      (await next(2 + index)).fail();
      await settle(0);
    }
    expect(list.getSnapshot().phase).toBe('stale');
    expect(list.getSnapshot().items).toHaveLength(1);
    await settle(16_000);
    const call = await next(7);
    expect(kind(call)).toBe('watch 10');
    call.respond(stream().response);
    await settle();
    expect(list.getSnapshot().phase).toBe('live');
  });

  test.each([401, 403, 404])('stops at %i until asked to retry', async (code) => {
    const list = new LiveList<KubeObject>('/k8s/things');
    stop = list.subscribe(() => undefined);
    (await next(0)).respond(json({ kind: 'Status', code, message: 'no' }, code));
    await settle(120_000);
    expect(calls).toHaveLength(1);
    expect(list.getSnapshot()).toMatchObject({ phase: 'failed', error: { code, message: 'no' } });
    list.retry();
    expect(kind(await next(1))).toBe('list');
  });

  test('takes a stream that has fallen silent for dead', async () => {
    await watching();
    await settle(151_000);
    expect(kind(await next(2))).toBe('watch 10');
    expect(calls[1]?.signal.aborted).toBe(true);
  });

  test('rests while the page is hidden, and resumes where it was', async () => {
    const { list } = await watching();
    const hidden = vi.spyOn(document, 'hidden', 'get');
    hidden.mockReturnValue(true);
    document.dispatchEvent(new Event('visibilitychange'));
    await settle(60_000);
    expect(list.getSnapshot().phase).toBe('paused');
    expect(calls[1]?.signal.aborted).toBe(true);
    await settle(600_000);
    expect(calls).toHaveLength(2);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event('visibilitychange'));
    expect(kind(await next(2))).toBe('watch 10');
  });

  test('closes its stream when nobody listens any more', async () => {
    await watching();
    stop?.();
    await settle(600_000);
    expect(calls).toHaveLength(2);
    expect(calls[1]?.signal.aborted).toBe(true);
  });
});
