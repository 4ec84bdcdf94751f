import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useDeferredValue, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { isCode } from '../api/errors';
import type { Store } from '../api/types';
import type { Live } from '../lib/hooks';
import { useCan, useStores, useTitle } from '../lib/hooks';
import { kubectl } from '../lib/kubectl';
import { useDefaultNamespace } from '../lib/namespaces';
import { matches, stateOf, titleOf } from '../lib/state';
import { Button, Failure, Kubectl, Notice, Skeleton, StateBadge } from '../ui/basics';
import { Icon, Mark } from '../ui/icons';
import { Age, LiveBadge, StepMeter } from '../ui/live';
import { NamespacePicker } from './NamespacePicker';

/** The word for all namespaces in the address. */
export const everywhere = '*';

export function StoresScreen() {
  const { namespace: chosen } = useSearch({ from: '/' });
  const mayListAll = useCan({ verb: 'list' });
  const fallback = useDefaultNamespace();
  const namespace = chosen ?? (mayListAll ? everywhere : fallback);
  useTitle('Stores');
  // Which list to show hangs on what the user may see: ask first, list then.
  if (!chosen && (mayListAll === undefined || fallback === undefined)) return <Skeleton label="Loading stores" lines={8} />;
  return <StoreList key={namespace} namespace={namespace ?? 'default'} mayListAll={mayListAll ?? false} />;
}

function StoreList({ namespace, mayListAll }: { namespace: string; mayListAll: boolean }) {
  const navigate = useNavigate({ from: '/' });
  const { filter = '' } = useSearch({ from: '/' });
  const scope = namespace === everywhere ? '' : namespace;
  const live = useStores(scope);
  const [text, setText] = useState(filter);
  const deferred = useDeferredValue(text);
  const shown = useMemo(() => live.items.filter((store) => matches(store, deferred)), [live.items, deferred]);
  const mayCreate = useCan({ verb: 'create', ...(scope && { namespace: scope }) });
  const line = kubectl(scope, 'get', 'stores', '--watch');

  const search = (value: string) => {
    setText(value);
    void navigate({ search: (old) => ({ ...old, filter: value || undefined }), replace: true });
  };
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Stores</h1>
          <Counts items={live.items} />
        </div>
        <div className="page-actions">
          <LiveBadge live={live} />
          <CreateLink namespace={scope} allowed={mayCreate} />
        </div>
      </div>
      <div className="toolbar">
        <NamespacePicker value={namespace} mayListAll={mayListAll} onChange={(next) => void navigate({ search: (old) => ({ ...old, namespace: next }) })} />
        <div className="search">
          <label htmlFor="filter" className="offscreen">Filter stores</label>
          <Icon name="search" />
          <input id="filter" type="search" placeholder="Filter by name, owner, engine, status…" value={text} onChange={(event) => { search(event.target.value); }} />
        </div>
      </div>
      <ListBody live={live} shown={shown} filter={deferred} scope={scope} mayCreate={mayCreate} onClear={() => { search(''); }} line={line} />
      <footer className="page-foot"><Kubectl line={line} /></footer>
    </>
  );
}

function CreateLink({ namespace, allowed }: { namespace: string; allowed: boolean | undefined }) {
  // Without the right in all namespaces there may still be one to create in.
  if (allowed === false && namespace) {
    return <Button kind="primary" icon="plus" aria-disabled title={`You may not create stores in ${namespace}.`}>Create store</Button>;
  }
  return <Link to="/create" search={{ namespace: namespace || undefined }} className="button primary"><Icon name="plus" /><span>Create store</span></Link>;
}

function Counts({ items }: { items: readonly Store[] }) {
  const counts = useMemo(() => {
    const byWord = new Map<string, number>();
    for (const store of items) {
      const { word } = stateOf(store);
      byWord.set(word, (byWord.get(word) ?? 0) + 1);
    }
    return [...byWord].sort((a, b) => b[1] - a[1]);
  }, [items]);
  if (items.length === 0) return null;
  return (
    <p className="counts">
      {counts.map(([word, count]) => <span key={word}><b className="number">{count.toLocaleString()}</b> {word.toLowerCase()}</span>)}
    </p>
  );
}

interface BodyProps {
  live: Live<Store>;
  shown: readonly Store[];
  filter: string;
  scope: string;
  mayCreate: boolean | undefined;
  onClear: () => void;
  line: string;
}

function ListBody({ live, shown, filter, scope, mayCreate, onClear, line }: BodyProps) {
  // A session that ends leaves what it has shown: the line on top says that it is old.
  const ended = isCode(live.error, 401) && live.items.length > 0;
  if (live.phase === 'failed' && !ended) return <Failure error={live.error} what={scope ? `the stores of ${scope}` : 'all stores'} retry={live.retry} kubectl={line} />;
  if (live.phase === 'loading' && live.items.length === 0) {
    return (
      <>
        {live.error !== undefined && <Failure error={live.error} what="the stores" retry={live.retry} />}
        <Skeleton label="Loading stores" lines={8} />
      </>
    );
  }
  if (live.items.length === 0) {
    return (
      <div className="empty">
        <Mark />
        <h2>No store here yet</h2>
        <p>A store comes with its own database, web address and admin login. It takes about a minute.</p>
        {mayCreate === false && scope ? <Notice tone="info" title={`You may look at the stores of ${scope}, not create any.`} /> : <CreateLink namespace={scope} allowed={mayCreate} />}
      </div>
    );
  }
  if (shown.length === 0) {
    return (
      <div className="empty">
        <h2>No store matches “{filter}”</h2>
        <Button onClick={onClear}>Show all {live.items.length.toLocaleString()}</Button>
      </div>
    );
  }
  return <Table stores={shown} withNamespace={!scope} />;
}

function Table({ stores, withNamespace }: { stores: readonly Store[]; withNamespace: boolean }) {
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => { setTop(body.current?.offsetTop ?? 0); }, []);
  const rows = useWindowVirtualizer({
    count: stores.length,
    estimateSize: () => 64,
    overscan: 12,
    scrollMargin: top,
    getItemKey: (index) => stores[index]?.metadata.uid ?? index,
  });
  return (
    <div className="table" role="table" aria-label="Stores" aria-rowcount={stores.length + 1}>
      <div role="rowgroup" className="table-head">
        <div role="row" className="row" aria-rowindex={1}>
          {['Store', 'Status', 'Engine and plan', 'Address', 'Owner', 'Age'].map((name) => <span role="columnheader" key={name}>{name}</span>)}
        </div>
      </div>
      <div role="rowgroup" ref={body} className="table-body" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map((item) => {
          const store = stores[item.index];
          return store && (
            <div
              key={item.key}
              ref={rows.measureElement}
              data-index={item.index}
              role="row"
              aria-rowindex={item.index + 2}
              className="row"
              style={{ transform: `translateY(${String(item.start - top)}px)` }}
            >
              <Row store={store} withNamespace={withNamespace} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Row({ store, withNamespace }: { store: Store; withNamespace: boolean }) {
  const { name, namespace = '' } = store.metadata;
  const state = stateOf(store);
  const moving = state.tone === 'busy' || state.tone === 'bad';
  return (
    <>
      <span role="cell" className="cell-store">
        <Link to="/stores/$namespace/$name" params={{ namespace, name }} className="row-link">{titleOf(store)}</Link>
        <span className="sub">{withNamespace && <>{namespace}<span aria-hidden="true"> / </span></>}{name}</span>
      </span>
      <span role="cell" className="cell-status">
        <StateBadge state={state} />
        {moving ? <StepMeter store={store} /> : state.tone === 'going' && <span className="sub clip" title={state.message}>{state.message}</span>}
      </span>
      <span role="cell" className="cell-engine">
        {store.spec.engine} <span className="sub inline">{store.spec.version}</span>
        <span className="sub"><span className="dot-before">plan </span>{store.spec.plan}</span>
      </span>
      <span role="cell" className="cell-url">
        {store.status?.url ? <a href={store.status.url} target="_blank" rel="noreferrer">{new URL(store.status.url).host}<Icon name="open" /><span className="offscreen"> (opens in a new tab)</span></a> : <span className="sub">{store.spec.host}</span>}
      </span>
      <span role="cell" className="cell-owner clip" title={store.spec.owner}>{store.spec.owner?.replace(/^system:serviceaccount:/, '')}</span>
      <span role="cell" className="cell-age"><Age time={store.metadata.creationTimestamp} /></span>
    </>
  );
}
