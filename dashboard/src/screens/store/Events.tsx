import type { KubeEvent } from '../../api/types';
import { useStoreEvents } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { Failure, Kubectl, Skeleton } from '../../ui/basics';
import { Icon } from '../../ui/icons';
import { Age, LiveBadge } from '../../ui/live';

/** What happened to the store lately, newest first, as it happens. */
export function Events({ namespace, name }: { namespace: string; name: string }) {
  const live = useStoreEvents(namespace, name);
  const events = [...live.items].sort((a, b) => timeOf(b).localeCompare(timeOf(a)));
  const line = kubectl(namespace, 'events', '--for', `stores.platform.dev/${name}`, '--watch');
  return (
    <section className="card" aria-labelledby="events">
      <div className="card-head"><h2 id="events">Events</h2><LiveBadge live={live} /></div>
      {live.phase === 'failed' && <Failure error={live.error} what="events" retry={live.retry} />}
      {live.asOf === 0 && live.phase === 'loading' && <Skeleton label="Loading events" />}
      {live.asOf > 0 && events.length === 0 && <p className="sub">None. Kubernetes keeps events for about an hour.</p>}
      <ul className="events">
        {events.map((event) => (
          <li key={event.metadata.uid} className={event.type}>
            <Icon name={event.type === 'Warning' ? 'alert' : 'dot'} />
            <div>
              <b>{event.type === 'Warning' && <span className="offscreen">Warning: </span>}{event.reason}</b>
              {(event.series?.count ?? 1) > 1 && <span className="sub inline"> ×{event.series?.count}</span>}
              <p>{event.note}</p>
            </div>
            <span className="sub"><Age time={timeOf(event)} /></span>
          </li>
        ))}
      </ul>
      <Kubectl line={line} />
    </section>
  );
}

const timeOf = (event: KubeEvent) =>
  event.series?.lastObservedTime ?? event.eventTime ?? event.deprecatedLastTimestamp ?? event.metadata.creationTimestamp;
