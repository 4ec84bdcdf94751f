import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, isCode, messageOf } from '../../api/errors';
import { patchStore } from '../../api/resources';
import type { Store, StoreSpec } from '../../api/types';
import { announce } from '../../lib/announce';
import { changedPaths } from '../../lib/diff';
import { useEngines } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { Button, Input, Kubectl, Notice, Select } from '../../ui/basics';
import { Dialog, DialogActions } from '../../ui/dialog';

type Editable = Pick<StoreSpec, 'displayName' | 'plan' | 'version' | 'deletionProtection'>;

/**
 * Changes a store as it was when the dialog opened. When somebody else has
 * changed its spec meanwhile, the server refuses, and the user decides knowing
 * what that was.
 */
export function Edit({ store, onClose }: { store: Store; onClose: () => void }) {
  const [base, setBase] = useState(store);
  const [edits, setEdits] = useState<Editable>({});
  const engine = useEngines().data?.items.find((item) => item.metadata.name === store.spec.engine);
  const value = { ...base.spec, ...edits };
  const patch = Object.fromEntries(Object.entries(edits).filter(([field, text]) => text !== base.spec[field as keyof Editable]));
  const changed = Object.keys(patch).length > 0;
  const others = changedPaths(base.spec, store.spec);
  const save = useMutation({
    // The status moves by itself all the time. Only a changed spec is a conflict.
    mutationFn: () => patchStore(store, { spec: patch }, others.length > 0 ? base.metadata.resourceVersion : store.metadata.resourceVersion),
    retry: (count, error) => isCode(error, 409) && others.length === 0 && count < 3,
    retryDelay: 300,
    onSuccess: () => {
      announce('The change is saved.');
      onClose();
    },
  });
  const faults = save.error instanceof ApiError && save.error.code === 422 ? save.error.fields() : new Map<string, string[]>();
  const conflict = others.length > 0;
  const other = save.isError && !conflict && faults.size === 0;
  return (
    <Dialog open onClose={onClose} title={`Edit ${base.metadata.name}`}>
      <form noValidate className="form" onSubmit={(event) => { event.preventDefault(); if (changed && !conflict) save.mutate(); }}>
        <Input label="Title" value={value.displayName ?? ''} errors={faults.get('spec.displayName')} onChange={(displayName) => { setEdits({ ...edits, displayName }); }} />
        <Select label="Plan" value={value.plan} errors={faults.get('spec.plan')} onChange={(plan) => { setEdits({ ...edits, plan }); }}>
          {names(value.plan, engine?.spec.plans).map((name) => <option key={name}>{name}</option>)}
        </Select>
        <Select label="Version" hint="A failed upgrade goes back by itself. Data is never touched." value={value.version} errors={faults.get('spec.version')} onChange={(version) => { setEdits({ ...edits, version }); }}>
          {names(value.version, engine?.spec.versions).map((name) => <option key={name}>{name}</option>)}
        </Select>
        <label className="check">
          <input type="checkbox" checked={value.deletionProtection ?? false} onChange={(event) => { setEdits({ ...edits, deletionProtection: event.target.checked }); }} />
          <span>Protect from deletion<span className="hint">The server then refuses to delete the store.</span></span>
        </label>
        {conflict && (
          <Notice
            tone="warn"
            title="Somebody changed this store meanwhile"
            action={<Button onClick={() => { setBase(store); save.reset(); }}>Use the newest, keep my edits</Button>}
          >
            Changed since you began: <code>{others.map((path) => `spec.${path}`).join(', ')}</code>
          </Notice>
        )}
        {other && <Notice tone="bad" title={isCode(save.error, 409) ? 'The store has just changed' : 'The server refuses it'}>{messageOf(save.error)}</Notice>}
        {changed && <Kubectl line={kubectl(store.metadata.namespace, 'patch', 'store', store.metadata.name, '--type=merge', '-p', JSON.stringify({ spec: patch }))} />}
        <DialogActions onCancel={onClose}><Button type="submit" kind="primary" busy={save.isPending} aria-disabled={!changed || conflict}>Save</Button></DialogActions>
      </form>
    </Dialog>
  );
}

// What a store has is offered even if its engine no longer does.
const names = (own = '', offered: { name: string }[] = []) => [...new Set([own, ...offered.map(({ name }) => name)])].filter(Boolean);
