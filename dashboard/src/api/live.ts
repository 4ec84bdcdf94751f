import { backoff, sleep } from './backoff';
import { request, send } from './client';
import { ApiError, isStatus } from './errors';
import { jsonLines } from './lines';
import type { KubeList, KubeObject } from './types';

/** How far what is shown can be trusted to be what is. */
export type Phase =
  /** The first list has not come yet. */
  | 'loading'
  /** Every change arrives as it happens. */
  | 'live'
  /** The stream broke a moment ago. */
  | 'reconnecting'
  /** There has been no stream for a while: what is shown may be old. */
  | 'stale'
  /** Nobody is looking. */
  | 'paused'
  /** The server will not answer this user, now or later. */
  | 'failed';

export interface Snapshot<T> {
  items: readonly T[];
  phase: Phase;
  /** When the items were last known to be current, in milliseconds. */
  asOf: number;
  error: unknown;
}

interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: KubeObject;
}

const pageSize = 500;
const staleAfter = 10_000;
const hideAfter = 60_000;
// The server sends a bookmark a minute: a stream silent for longer is dead, also
// when the network has not told.
const silenceAfter = 150_000;
const flushEvery = 50;

/**
 * A collection kept current by list and watch, as client-go's informers do it:
 * list in pages, watch from the list's resource version with bookmarks, resume
 * where a broken stream ended, and list again only when the server has forgotten
 * that point (410). It never polls, and rests while the page is hidden.
 */
export class LiveList<T extends KubeObject> {
  private readonly path: string;
  private readonly query: Record<string, string>;
  private items = new Map<string, T>();
  private resourceVersion = '';
  private snapshot: Snapshot<T> = { items: [], phase: 'loading', asOf: 0, error: undefined };
  private readonly listeners = new Set<() => void>();
  private controller: AbortController | undefined;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private hideTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string, query: Record<string, string> = {}) {
    this.path = path;
    this.query = query;
  }

  readonly getSnapshot = (): Snapshot<T> => this.snapshot;

  /** Runs while anybody is subscribed. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) {
      document.addEventListener('visibilitychange', this.onVisibility);
      this.start();
    }
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      document.removeEventListener('visibilitychange', this.onVisibility);
      clearTimeout(this.hideTimer);
      this.stop();
    };
  };

  /** Tries again at once, also after a failure that was final. */
  readonly retry = (): void => {
    this.stop();
    this.publish({ phase: this.snapshot.asOf ? 'reconnecting' : 'loading', error: undefined });
    this.start();
  };

  private start(): void {
    const controller = new AbortController();
    this.controller = controller;
    void this.run(controller.signal);
  }

  private stop(): void {
    this.controller?.abort();
    this.controller = undefined;
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
  }

  private readonly onVisibility = (): void => {
    clearTimeout(this.hideTimer);
    if (document.hidden) {
      this.hideTimer = setTimeout(() => {
        this.stop();
        this.publish({ phase: 'paused' });
      }, hideAfter);
    } else if (this.snapshot.phase === 'paused') {
      this.retry();
    }
  };

  private async run(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    while (!signal.aborted) {
      try {
        if (!this.resourceVersion) await this.list(signal);
        await this.watch(signal, () => { attempt = 0; });
        // The server ends every watch after a while. Resume, but never in a spin.
        await sleep(backoff(attempt++) / 4, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 410) this.resourceVersion = '';
        if (error instanceof ApiError && [400, 401, 403, 404, 405].includes(error.code)) {
          this.resourceVersion = '';
          this.publish({ phase: 'failed', error });
          return;
        }
        const old = Date.now() - this.snapshot.asOf > staleAfter;
        if (this.snapshot.asOf) this.publish({ phase: old ? 'stale' : 'reconnecting', error });
        else this.publish({ error });
        await sleep(backoff(attempt++), signal).catch(() => undefined);
      }
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const fresh = new Map<string, T>();
    let next: string | undefined;
    do {
      const page: KubeList<T> = await request(this.path, { query: { ...this.query, limit: pageSize, continue: next }, signal });
      for (const item of page.items) fresh.set(item.metadata.uid, trim(item));
      next = page.metadata.continue;
      this.resourceVersion = next ? '' : page.metadata.resourceVersion;
      // The first page of a long list is worth showing before the last has come.
      if (next && this.snapshot.phase === 'loading') {
        this.items = new Map(fresh);
        this.publish({ items: sorted(this.items) });
      }
    } while (next);
    this.items = fresh;
    this.publish({ items: sorted(fresh), phase: 'live', asOf: Date.now(), error: undefined });
  }

  private async watch(signal: AbortSignal, onAlive: () => void): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => { silence.abort(); }, silenceAfter);
    try {
      const response = await send(this.path, {
        query: { ...this.query, watch: true, allowWatchBookmarks: true, resourceVersion: this.resourceVersion },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (!response.body) throw new ApiError(0, 'The answer has no body.');
      this.publish({ phase: 'live', asOf: Date.now(), error: undefined });
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => { silence.abort(); }, silenceAfter);
        onAlive();
      };
      for await (const event of jsonLines(response.body, heard)) this.apply(event as WatchEvent);
    } finally {
      clearTimeout(timer);
      this.flush(signal);
    }
  }

  private apply({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      throw isStatus(object) ? ApiError.fromStatus(object) : new ApiError(0, 'The watch broke off.');
    }
    this.resourceVersion = object.metadata.resourceVersion;
    if (type === 'DELETED') this.items.delete(object.metadata.uid);
    else if (type !== 'BOOKMARK') this.items.set(object.metadata.uid, trim(object as T));
    this.flushTimer ??= setTimeout(() => { this.flush(); }, flushEvery);
  }

  // Many changes at once become one render.
  private flush(signal?: AbortSignal): void {
    if (this.flushTimer === undefined || signal?.aborted) return;
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.publish({ items: sorted(this.items), asOf: Date.now() });
  }

  private publish(change: Partial<Snapshot<T>>): void {
    this.snapshot = { ...this.snapshot, ...change };
    this.listeners.forEach((listener) => { listener(); });
  }
}

// Field ownership is of no use to a reader and most of an object's size.
function trim<T extends KubeObject>(object: T): T {
  delete object.metadata.managedFields;
  return object;
}

const collator = new Intl.Collator('en', { numeric: true });

function sorted<T extends KubeObject>(items: Map<string, T>): T[] {
  return [...items.values()].sort(
    (a, b) => collator.compare(a.metadata.name, b.metadata.name) || collator.compare(a.metadata.namespace ?? '', b.metadata.namespace ?? ''),
  );
}
