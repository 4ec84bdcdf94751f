import type { Store } from '../api/types';
import type { Live } from '../lib/hooks';
import { progressOf, stepTitle } from '../lib/state';
import { clockTime, fullTime, span, useMinutes, useSeconds } from '../lib/time';
import { Button } from './basics';
import { Icon } from './icons';

/** How current the page is: live, reconnecting, or stale since when. */
export function LiveBadge({ live }: { live: Live<unknown> }) {
  const { asOf, retry } = live;
  if (live.phase === 'loading' || asOf === 0) return null;
  const phase = live.phase === 'failed' ? 'stale' : live.phase;
  const words = { live: 'Live', paused: 'Paused', reconnecting: 'Reconnecting…', stale: `Stale since ${clockTime(asOf)}` }[phase];
  return (
    <span className={`live ${phase}`}>
      <span role="status"><Icon name={phase === 'live' ? 'dot' : phase === 'paused' ? 'pause' : phase === 'stale' ? 'alert' : 'ring'} spin={phase === 'reconnecting'} />{words}</span>
      {phase === 'stale' && <Button kind="quiet" onClick={retry}>Reconnect</Button>}
    </span>
  );
}

export function Elapsed({ since }: { since: string | undefined }) {
  const now = useSeconds();
  return since ? <span className="number">{span(now - Date.parse(since))}</span> : null;
}

export function Age({ time }: { time: string }) {
  const now = useMinutes();
  return <time dateTime={time} title={fullTime(time)} className="number">{span(now - Date.parse(time))}</time>;
}

/** The steps as segments, with the count and how long the current one has taken. */
export function StepMeter({ store }: { store: Store }) {
  const { steps, done, total, current, since } = progressOf(store);
  if (total === 0) return null;
  return (
    <span className="meter">
      <span className="meter-bar" aria-hidden="true">
        {steps.map((step) => <span key={step.name} className={`segment ${step.state}`} />)}
      </span>
      <span className="meter-text">
        <span className="offscreen">Step </span>
        <span className="number">{done}/{total}</span>
        {current && <> · {stepTitle(current.name)} · <Elapsed since={since} /></>}
      </span>
    </span>
  );
}
