import { backoff, sleep } from './backoff';
import { send } from './client';
import { isCode } from './errors';
import { textLines } from './lines';

export interface LogLine {
  /** When the container wrote it, in RFC 3339. */
  time: string;
  text: string;
}

export interface LogSnapshot {
  lines: readonly LogLine[];
  /** Whether more may come: loading and reconnecting become live, ended and failed stay. */
  phase: 'loading' | 'live' | 'reconnecting' | 'ended' | 'failed';
  error: unknown;
}

const firstLines = 500;
const keepLines = 2000;
const flushEvery = 100;

/**
 * The log of one container, followed while anybody is subscribed. Where a stream
 * breaks off, the next one goes on after the last line: none is lost or shown
 * twice. Only the newest lines are kept.
 */
export class LogStream {
  private readonly path: string;
  private readonly container: string;
  private readonly follow: boolean;
  private lines: LogLine[] = [];
  private last = '';
  private snapshot: LogSnapshot = { lines: [], phase: 'loading', error: undefined };
  private readonly listeners = new Set<() => void>();
  private controller: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Without follow the log is read to its end, once: that of a container that has ended. */
  constructor(path: string, container: string, follow: boolean) {
    this.path = path;
    this.container = container;
    this.follow = follow;
  }

  readonly getSnapshot = (): LogSnapshot => this.snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.start();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      this.controller?.abort();
      clearTimeout(this.timer);
      this.timer = undefined;
    };
  };

  /** Tries again after a failure. */
  readonly retry = (): void => {
    this.controller?.abort();
    this.start();
  };

  private start(): void {
    this.controller = new AbortController();
    this.publish({ phase: this.last ? 'reconnecting' : 'loading', error: undefined });
    void this.run(this.controller.signal);
  }

  private async run(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    while (!signal.aborted) {
      try {
        await this.read(signal, () => { attempt = 0; });
        if (!this.follow) {
          this.publish({ phase: 'ended' });
          return;
        }
        // The server ends every stream after a while. Resume, but never in a spin.
        await sleep(backoff(attempt++), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isCode(error, 400, 401, 403, 404)) {
          this.publish({ phase: 'failed', error });
          return;
        }
        this.publish({ phase: this.last ? 'reconnecting' : 'loading', error });
        await sleep(backoff(attempt++), signal).catch(() => undefined);
      }
    }
  }

  private async read(signal: AbortSignal, onLine: () => void): Promise<void> {
    const from = this.last;
    const response = await send(this.path, {
      query: {
        container: this.container, follow: this.follow, timestamps: true,
        ...(from ? { sinceTime: from } : { tailLines: firstLines }),
      },
      signal,
    });
    this.publish({ phase: 'live', error: undefined });
    if (!response.body) return;
    try {
      for await (const line of textLines(response.body)) {
        const space = line.indexOf(' ');
        const time = line.slice(0, space);
        // The server counts in whole seconds: it begins with lines that are here already.
        if (time <= from) continue;
        this.last = time;
        this.lines.push({ time, text: line.slice(space + 1).replace(colours, '') });
        onLine();
        this.timer ??= setTimeout(() => { this.flush(); }, flushEvery);
      }
    } finally {
      if (!signal.aborted) this.flush();
    }
  }

  // Many lines at once become one render.
  private flush(): void {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lines = this.lines.slice(-keepLines);
    this.publish({ lines: this.lines.slice() });
  }

  private publish(change: Partial<LogSnapshot>): void {
    this.snapshot = { ...this.snapshot, ...change };
    this.listeners.forEach((listener) => { listener(); });
  }
}

// What programs write to a terminal beside their text.
const colours = /\u001b\[[\d;?]*[A-Za-z]/g;
