import { Tabs } from '@base-ui/react/tabs';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { Store } from '../../api/types';
import { announce } from '../../lib/announce';
import type { Live } from '../../lib/hooks';
import { useLatest, useStore, useTitle } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { stateOf, stepTitle, titleOf } from '../../lib/state';
import { toYaml } from '../../lib/yaml';
import type { Tab } from '../../router';
import { Failure, Kubectl, Notice, Skeleton, StateBadge } from '../../ui/basics';
import { Code } from '../../ui/code';
import { Icon } from '../../ui/icons';
import { LiveBadge } from '../../ui/live';
import { Actions } from './Actions';
import { Events } from './Events';
import { History } from './History';
import { Overview } from './Overview';
import { Pods } from './Pods';

export function StoreScreen() {
  const { namespace, name } = useParams({ from: '/stores/$namespace/$name' });
  useTitle(name);
  return <StoreView key={`${namespace}/${name}`} namespace={namespace} name={name} />;
}

function StoreView({ namespace, name }: { namespace: string; name: string }) {
  const live = useStore(namespace, name);
  const store = live.items[0];
  const [last, setLast] = useState(store);
  if (store && store !== last) setLast(store);
  useAnnouncedSteps(store);
  const line = kubectl(namespace, 'get', 'store', name, '--watch');
  return (
    <>
      <div className="crumbs">
        <Link to="/" search={{ namespace }} className="back"><Icon name="back" />Stores of {namespace}</Link>
        <LiveBadge live={live} />
      </div>
      {store ? <Details store={store} live={live} /> : <Absent live={live} last={last} name={name} namespace={namespace} line={line} />}
    </>
  );
}

function Absent({ live, last, name, namespace, line }: { live: Live<Store>; last: Store | undefined; name: string; namespace: string; line: string }) {
  if (live.phase === 'failed') return <Failure error={live.error} what={`store ${name}`} retry={live.retry} kubectl={line} />;
  if (live.asOf === 0) {
    return (
      <>
        {live.error !== undefined && <Failure error={live.error} what={`store ${name}`} retry={live.retry} />}
        <Skeleton label={`Loading store ${name}`} lines={8} />
      </>
    );
  }
  return (
    <div className="empty">
      <h1>{last ? `${titleOf(last)} is gone` : `There is no store ${name}`}</h1>
      <p>
        {!last && `Namespace ${namespace} holds none of this name. If one is created, it appears here.`}
        {last?.spec.deletionPolicy === 'Retain' && `What ran is removed. Namespace ${last.status?.namespace ?? ''} keeps the volumes and secrets.`}
        {last && last.spec.deletionPolicy !== 'Retain' && 'Nothing of it is left in the cluster: namespace, volumes and secrets are removed.'}
      </p>
      <Link to="/" search={{ namespace }} className="button primary">All stores</Link>
    </div>
  );
}

function Details({ store, live }: { store: Store; live: Live<Store> }) {
  const { tab = 'overview' } = useSearch({ from: '/stores/$namespace/$name' });
  const navigate = useNavigate({ from: '/stores/$namespace/$name' });
  const { name, namespace = '' } = store.metadata;
  const state = stateOf(store);
  const select = (next: Tab) => void navigate({ search: { tab: next === 'overview' ? undefined : next }, replace: true });
  return (
    <>
      <div className="store-head">
        <div className="store-title">
          <h1>{titleOf(store)}</h1>
          <StateBadge state={state} />
          {store.spec.deletionProtection && <span className="badge idle"><Icon name="lock" />Protected</span>}
        </div>
        <p className="sub">{namespace} / {name} · {store.spec.engine} {store.status?.version ?? store.spec.version} · plan {store.spec.plan}</p>
        <div className="store-links">
          {store.status?.url && <Outside href={store.status.url}>{new URL(store.status.url).host}</Outside>}
          {store.status?.adminURL && <Outside href={store.status.adminURL}>Admin</Outside>}
        </div>
        <Actions store={store} />
      </div>
      {state.tone === 'going' && <Notice tone="warn" title="This store is being deleted">{state.message || 'The provisioner takes it down.'}</Notice>}
      {state.tone === 'bad' && <Notice tone="bad" title={state.word}>{state.message}</Notice>}
      {store.spec.suspend && <Notice tone="info" title="Suspended">{state.message || 'The provisioner leaves the store as it is while spec.suspend is true.'}</Notice>}
      {live.phase === 'stale' && <Notice tone="warn" title="The connection is lost">What you see may be old. This page tries again by itself.</Notice>}
      <Tabs.Root value={tab} onValueChange={(value) => { select(value as Tab); }} className="tabs">
        <Tabs.List className="tab-list" aria-label="About this store">
          <Tabs.Tab className="tab" value="overview">Overview</Tabs.Tab>
          <Tabs.Tab className="tab" value="pods">Pods</Tabs.Tab>
          <Tabs.Tab className="tab" value="events">Events</Tabs.Tab>
          <Tabs.Tab className="tab" value="history">History</Tabs.Tab>
          <Tabs.Tab className="tab" value="yaml">YAML</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel className="tab-panel" value="overview"><Overview store={store} /></Tabs.Panel>
        <Tabs.Panel className="tab-panel" value="pods"><Pods store={store} /></Tabs.Panel>
        <Tabs.Panel className="tab-panel" value="events"><Events namespace={namespace} name={name} /></Tabs.Panel>
        <Tabs.Panel className="tab-panel" value="history"><History store={store} /></Tabs.Panel>
        <Tabs.Panel className="tab-panel" value="yaml">
          <Code text={toYaml({ apiVersion: 'platform.dev/v1alpha1', kind: 'Store', ...store })} label={`${name}.yaml`} />
          <Kubectl line={kubectl(namespace, 'get', 'store', name, '-o', 'yaml')} />
        </Tabs.Panel>
      </Tabs.Root>
    </>
  );
}

function Outside({ href, children }: { href: string; children: React.ReactNode }) {
  return <a href={href} target="_blank" rel="noreferrer">{children}<Icon name="open" /><span className="offscreen"> (opens in a new tab)</span></a>;
}

/** Says aloud each step that ends, and when the store becomes ready or gets stuck. */
function useAnnouncedSteps(store: Store | undefined): void {
  const before = useLatest(store);
  useEffect(() => {
    const old = before.current;
    if (!store || !old || old === store) return;
    const steps = store.status?.steps ?? [];
    const ended = steps.filter((step) => step.state === 'Done' && old.status?.steps?.find(({ name }) => name === step.name)?.state !== 'Done').at(-1);
    const state = stateOf(store);
    if (state.word !== stateOf(old).word) announce(`${titleOf(store)}: ${state.word}. ${state.tone === 'ok' ? '' : state.message}`);
    else if (ended) announce(`Step ${String(steps.indexOf(ended) + 1)} of ${String(steps.length)} is done: ${stepTitle(ended.name)}.`);
  }, [store, before]);
}
