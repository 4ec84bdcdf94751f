/**
 * The delay before retry number attempt (from 0), in milliseconds: doubling from
 * half a second to half a minute, of which a random half is left out, so that
 * many tabs do not come back at once.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(30_000, 500 * 2 ** attempt);
  return full / 2 + (full / 2) * random();
}

/** Waits, or throws the signal's reason as soon as it is aborted. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', abort, { once: true });
  });
}
