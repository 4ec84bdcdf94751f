import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { isCode, messageOf } from '../../api/errors';
import { getHistory, rollbackStore } from '../../api/resources';
import type { Store, StoreRevision } from '../../api/types';
import { announce } from '../../lib/announce';
import { changesOf } from '../../lib/diff';
import { useCan } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { fullTime } from '../../lib/time';
import { Button, Failure, Kubectl, Notice, Skeleton } from '../../ui/basics';
import { Changes } from '../../ui/changes';
import { Dialog, DialogActions } from '../../ui/dialog';
import { Age } from '../../ui/live';

/** Every change of the store: when, who, what; and the way back. */
export function History({ store }: { store: Store }) {
  const { name, namespace = '', uid, generation } = store.metadata;
  const [target, setTarget] = useState<StoreRevision>();
  const mayRollBack = useCan({ verb: 'create', subresource: 'rollback', namespace, name });
  // A new generation is a new entry: only then there is something to fetch.
  const history = useInfiniteQuery({
    queryKey: ['history', uid, generation],
    queryFn: ({ pageParam, signal }) => getHistory(namespace, name, pageParam || undefined, signal),
    initialPageParam: '',
    getNextPageParam: (page) => page.next,
    placeholderData: (old) => old,
  });
  const revisions = history.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="card" aria-labelledby="history">
      <h2 id="history">History</h2>
      {history.isPending && <Skeleton label="Loading history" />}
      {isCode(history.error, 404, 405)
        ? <Notice tone="info" title="This server keeps no history that can be read">The API server of this cluster has no subresource stores/history.</Notice>
        : history.isError && <Failure error={history.error} what="the history" retry={() => void history.refetch()} />}
      {history.isSuccess && revisions.length === 0 && <p className="sub">None yet.</p>}
      <ol className="history">
        {revisions.map((revision) => (
          <li key={revision.resourceVersion}>
            <div className="history-head">
              <b>{revision.verb}</b> by <span className="who-did">{revision.user || 'the system'}</span>
              <span className="sub inline"> · <time dateTime={revision.time}>{fullTime(revision.time)}</time> (<Age time={revision.time} />)</span>
            </div>
            {revision.verb !== 'create' && <Changes changes={revision.changes ?? []} />}
            {mayRollBack && revision.resourceVersion !== store.metadata.resourceVersion && revision.generation !== generation && !store.metadata.deletionTimestamp && (
              <Button kind="quiet" icon="undo" onClick={() => { setTarget(revision); }}>Roll back to this<span className="offscreen"> ({fullTime(revision.time)})</span></Button>
            )}
          </li>
        ))}
      </ol>
      {history.hasNextPage && <Button busy={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>Show older</Button>}
      {mayRollBack === false && <p className="sub">You may look back, not roll back: that takes create on stores/rollback, as the role edit has it.</p>}
      <Kubectl line={kubectl(namespace, 'store', 'history', name)} />
      {target && <Rollback store={store} revision={target} onClose={() => { setTarget(undefined); }} />}
    </section>
  );
}

function Rollback({ store, revision, onClose }: { store: Store; revision: StoreRevision; onClose: () => void }) {
  const { name, namespace = '', generation } = store.metadata;
  // The server says what would become of the store, with all that it would check.
  const preview = useQuery({
    queryKey: ['rollback', store.metadata.uid, generation, revision.resourceVersion],
    queryFn: () => rollbackStore(namespace, name, revision.resourceVersion, true),
    staleTime: 0,
    gcTime: 0,
  });
  const changes = preview.data && changesOf(store.spec, preview.data.spec, 'spec');
  const rollback = useMutation({
    mutationFn: () => rollbackStore(namespace, name, revision.resourceVersion),
    onSuccess: () => {
      announce(`${name} is rolled back.`);
      onClose();
    },
  });
  const refusal = rollback.error ?? preview.error;
  return (
    <Dialog open alert onClose={onClose} title={`Roll back ${name}?`} description={<p>Its settings become those of {fullTime(revision.time)} again. Orders, products and passwords stay as they are. This is a change of its own: it can be undone the same way.</p>}>
      {preview.isPending && <Skeleton label="Asking the server what would change" lines={1} />}
      {changes && (changes.length > 0 ? <Changes changes={changes} /> : <p className="sub">The settings are the same already.</p>)}
      {refusal && <Notice tone="bad" title="The server refuses it">{messageOf(refusal)}</Notice>}
      <Kubectl line={kubectl(namespace, 'store', 'rollback', name, `--to-revision=${revision.resourceVersion}`)} />
      <DialogActions onCancel={onClose}><Button kind="primary" busy={rollback.isPending} aria-disabled={!changes?.length} onClick={() => { rollback.mutate(); }}>Roll back</Button></DialogActions>
    </Dialog>
  );
}
