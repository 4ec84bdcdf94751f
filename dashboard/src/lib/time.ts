import { useSyncExternalStore } from 'react';

/** A span as kubectl writes it: 45s, 3m20s, 5h, 12d. */
export function span(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return '<1s';
  if (seconds < 120) return `${String(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 ? `${String(minutes)}m${String(seconds % 60)}s` : `${String(minutes)}m`;
  if (minutes < 180) return `${String(minutes)}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${String(hours)}h` : `${String(Math.floor(hours / 24))}d`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const clockTime = (time: string | number) => clock.format(new Date(time));
export const fullTime = (time: string | number) => calendar.format(new Date(time));

class Ticker {
  private now = Date.now();
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly interval: number;

  constructor(interval: number) {
    this.interval = interval;
  }

  readonly get = () => this.now;

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    this.timer ??= setInterval(() => {
      if (document.hidden) return;
      this.now = Date.now();
      this.listeners.forEach((notify) => { notify(); });
    }, this.interval);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  };
}

const second = new Ticker(1000);
const halfMinute = new Ticker(30_000);

/** The time, for as long as something that changes with it is on the page. */
export const useSeconds = () => useSyncExternalStore(second.subscribe, second.get);
export const useMinutes = () => useSyncExternalStore(halfMinute.subscribe, halfMinute.get);
