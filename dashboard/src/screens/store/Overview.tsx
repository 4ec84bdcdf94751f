import type { Store, StoreStep } from '../../api/types';
import { kubectl } from '../../lib/kubectl';
import { progressOf, stepTitle } from '../../lib/state';
import { fullTime, span } from '../../lib/time';
import { Badge, Kubectl } from '../../ui/basics';
import type { IconName } from '../../ui/icons';
import { Icon } from '../../ui/icons';
import { Age, Elapsed } from '../../ui/live';

export function Overview({ store }: { store: Store }) {
  return (
    <div className="columns">
      <section className="card" aria-labelledby="timeline">
        <h2 id="timeline">Steps</h2>
        <Timeline store={store} />
      </section>
      <section className="card" aria-labelledby="facts">
        <h2 id="facts">Details</h2>
        <Facts store={store} />
      </section>
      <section className="card whole" aria-labelledby="conditions">
        <h2 id="conditions">Conditions</h2>
        <Conditions store={store} />
        <Kubectl line={kubectl(store.metadata.namespace, 'describe', 'store', store.metadata.name)} />
      </section>
    </div>
  );
}

const marks: Record<StoreStep['state'], IconName> = { Done: 'check', Running: 'ring', Failed: 'alert', Pending: 'clock' };
const words: Record<StoreStep['state'], string> = { Done: 'Done', Running: 'Working', Failed: 'Stuck', Pending: 'Waiting' };

function Timeline({ store }: { store: Store }) {
  const { steps } = progressOf(store);
  if (steps.length === 0) {
    return <p className="sub">{store.spec.suspend ? 'Nothing is done while the store is suspended.' : 'The provisioner has not begun yet.'}</p>;
  }
  // Bars share one scale, so that the eye sees where the time went.
  const longest = Math.max(1000, ...steps.map(length));
  return (
    <ol className="timeline">
      {steps.map((step) => (
        <li key={step.name} className={step.state}>
          <span className="timeline-mark"><Icon name={marks[step.state]} spin={step.state === 'Running'} /></span>
          <div className="timeline-text">
            <div className="timeline-head">
              <span className="timeline-title">{stepTitle(step.name)}</span>
              <span className="timeline-time">
                {words[step.state]}
                {step.startTime && <> · {step.endTime ? <span className="number">{span(length(step))}</span> : <Elapsed since={step.startTime} />}</>}
              </span>
            </div>
            {step.state === 'Done' && (
              <svg className="bar" viewBox="0 0 100 3" preserveAspectRatio="none" aria-hidden="true"><rect width={Math.max(1, (length(step) / longest) * 100)} height="3" /></svg>
            )}
            {step.message && step.state !== 'Done' && <p className="timeline-message">{step.message}</p>}
          </div>
        </li>
      ))}
    </ol>
  );
}

const length = (step: StoreStep) => (step.startTime && step.endTime ? Date.parse(step.endTime) - Date.parse(step.startTime) : 0);

function Facts({ store }: { store: Store }) {
  const { spec, status, metadata } = store;
  const action = status?.release?.actions?.[0];
  const rows: [string, React.ReactNode][] = [
    ['Owner', spec.owner],
    ['Web address', spec.host],
    ['Admin’s email', spec.adminEmail],
    ['Version', status?.version && status.version !== spec.version ? `${status.version}, wanted ${spec.version ?? ''}` : spec.version],
    ['Power', spec.powerState],
    ['When deleted', spec.deletionPolicy === 'Retain' ? 'Keeps volumes and secrets' : 'Removes everything'],
    ['Namespace', status?.namespace],
    ['Release', status?.release && `${status.release.chart ?? ''} ${status.release.chartVersion ?? ''}, revision ${String(status.release.revision ?? 0)}`],
    ['Last action', action && <>{action.action} {action.result}, <Age time={action.time} /> ago{action.message && `: ${action.message}`}</>],
    ['Created', <time key="created" dateTime={metadata.creationTimestamp}>{fullTime(metadata.creationTimestamp)}</time>],
  ];
  return <dl className="facts">{rows.map(([term, value]) => value && <div key={term}><dt>{term}</dt><dd>{value}</dd></div>)}</dl>;
}

function Conditions({ store }: { store: Store }) {
  const conditions = store.status?.conditions ?? [];
  if (conditions.length === 0) return <p className="sub">None yet.</p>;
  return (
    <ul className="conditions">
      {conditions.map(({ type, status, reason, message, lastTransitionTime }) => (
        <li key={type}>
          <span className="condition-type">{type}</span>
          <Badge tone={toneOf(type, status)}>{status}</Badge>
          <span className="condition-text"><b>{reason}</b> {message}</span>
          <span className="sub"><Age time={lastTransitionTime} /></span>
        </li>
      ))}
    </ul>
  );
}

function toneOf(type: string, status: string) {
  if (type === 'Stalled') return status === 'True' ? 'bad' : 'ok';
  if (type === 'Reconciling') return status === 'True' ? 'busy' : 'ok';
  return status === 'True' ? 'ok' : 'idle';
}
