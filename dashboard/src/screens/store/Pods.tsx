import { useState } from 'react';
import { isCode } from '../../api/errors';
import { logPath } from '../../api/resources';
import type { Pod, Store } from '../../api/types';
import { usePods } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { containersOf, podStateOf } from '../../lib/pods';
import { Badge, Button, Failure, Kubectl, Notice, Select, Skeleton } from '../../ui/basics';
import { Age, LiveBadge } from '../../ui/live';
import { Log } from './Log';

/** What runs for a store, and what it writes. The user's own rights in its namespace decide. */
export function Pods({ store }: { store: Store }) {
  const namespace = store.status?.namespace;
  if (!namespace) {
    return <section className="card"><h2>Pods</h2><p className="sub">The store has no namespace yet, and so no pods.</p></section>;
  }
  return <PodsOf key={namespace} namespace={namespace} store={store} />;
}

function PodsOf({ namespace, store }: { namespace: string; store: Store }) {
  const live = usePods(namespace);
  const [chosen, setChosen] = useState<string>();
  const pod = live.items.find(({ metadata }) => metadata.uid === chosen);
  const line = kubectl(namespace, 'get', 'pods', '--watch');
  return (
    <>
      <section className="card" aria-labelledby="pods">
        <div className="card-head"><h2 id="pods">Pods</h2><LiveBadge live={live} /></div>
        {live.phase === 'failed' && (
          <Failure error={live.error} what={`the pods of ${store.metadata.name}`} right={`list and watch on pods in namespace ${namespace}`} retry={live.retry} />
        )}
        {live.phase === 'loading' && live.asOf === 0 && <Skeleton label="Loading pods" />}
        {live.asOf > 0 && live.items.length === 0 && <p className="sub">{store.spec.powerState === 'Hibernated' ? 'None: the store is hibernated.' : 'None.'}</p>}
        {!isCode(live.error, 403) && (
          <ul className="pods">
            {live.items.map((item) => (
              <PodRow key={item.metadata.uid} pod={item} open={item === pod} onToggle={() => { setChosen(item === pod ? undefined : item.metadata.uid); }} />
            ))}
          </ul>
        )}
        <Kubectl line={line} />
      </section>
      {pod && <PodLog key={pod.metadata.uid} pod={pod} namespace={namespace} />}
    </>
  );
}

function PodRow({ pod, open, onToggle }: { pod: Pod; open: boolean; onToggle: () => void }) {
  const { name, creationTimestamp } = pod.metadata;
  const { tone, word, message, ready, total, restarts } = podStateOf(pod);
  const counts = [word !== 'Completed' && `${String(ready)} of ${String(total)} ready`, restarts > 0 && `${String(restarts)} restarts`].filter((count) => count !== false);
  return (
    <li>
      <span className="pod-name">{name}</span>
      <Badge tone={tone}>{word}</Badge>
      <span className="sub">
        {counts.map((count) => `${count} · `)}<Age time={creationTimestamp} />
      </span>
      <Button kind="quiet" aria-expanded={open} onClick={onToggle}>Log<span className="offscreen"> of {name}</span></Button>
      {message && <p className="sub pod-message">{message}</p>}
    </li>
  );
}

function PodLog({ pod, namespace }: { pod: Pod; namespace: string }) {
  const containers = containersOf(pod);
  const [chosen, setChosen] = useState<string>();
  const container = containers.find(({ name }) => name === chosen) ?? containers.find(({ running }) => running) ?? containers[0];
  const { name } = pod.metadata;
  if (!container) return null;
  return (
    <section className="card" aria-labelledby="log">
      <h2 id="log">Log of {name}</h2>
      {containers.length > 1 && (
        <Select label="Container" value={container.name} onChange={setChosen}>
          {containers.map((option) => <option key={option.name} value={option.name}>{option.init ? `${option.name} (before the start)` : option.name}</option>)}
        </Select>
      )}
      {container.id
        // A container that has begun anew has a log of its own.
        ? <Log key={`${container.id} ${String(container.running)}`} path={logPath(namespace, name)} container={container.name} follow={container.running} namespace={namespace} />
        : <Notice tone="info" title={`${container.name} has not begun yet`}>{container.waiting}</Notice>}
      <Kubectl line={kubectl(namespace, 'logs', name, '-c', container.name, ...(container.running ? ['--follow'] : []))} />
    </section>
  );
}
