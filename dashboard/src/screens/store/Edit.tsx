import { useMutation } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, isCode, messageOf } from '../../api/errors';
import { patchStore } from '../../api/resources';
import type { DeletionPolicy, Engine, Store, StoreSpec } from '../../api/types';
import { announce } from '../../lib/announce';
import { changesOf } from '../../lib/diff';
import { useEngines } from '../../lib/hooks';
import { kubectl } from '../../lib/kubectl';
import { planFacts } from '../../lib/plans';
import type { Texts } from '../../lib/schema';
import { groupOf, textsOf, valuesPatch } from '../../lib/schema';
import { span } from '../../lib/time';
import { Button, Input, Kubectl, Notice, Select } from '../../ui/basics';
import { Changes } from '../../ui/changes';
import { Dialog, DialogActions } from '../../ui/dialog';
import { Settings } from '../../ui/settings';

type Editable = Pick<StoreSpec, 'displayName' | 'host' | 'plan' | 'version' | 'deletionPolicy' | 'deletionProtection'>;

/**
 * Changes a store as it was when the dialog opened, after a look at what the
 * server would make of it. When somebody else has changed its spec meanwhile, the
 * server refuses, and the user decides knowing what that was.
 */
export function Edit({ store, onClose }: { store: Store; onClose: () => void }) {
  const [base, setBase] = useState(store);
  const [edits, setEdits] = useState<Editable>({});
  const [settings, setSettings] = useState<Texts>();
  const engine = useEngines().data?.items.find((item) => item.metadata.name === store.spec.engine);
  const group = useMemo(() => groupOf(engine?.spec.valuesSchema), [engine]);
  const before = useMemo(() => textsOf(group, base.spec.values), [group, base]);
  const texts = settings ?? before;
  const spec = { ...base.spec, ...edits };
  const values = valuesPatch(group, before, texts);
  const patch = {
    ...Object.fromEntries(Object.entries(edits).filter(([field, value]) => value !== base.spec[field as keyof Editable])),
    ...(values && { values }),
  };
  const changed = Object.keys(patch).length > 0;
  const others = changesOf(base.spec, store.spec, 'spec');
  const conflict = others.length > 0;

  const send = (dryRun: boolean) =>
    // The status moves by itself all the time. Only a changed spec is a conflict.
    patchStore(store, { spec: patch }, { dryRun, resourceVersion: conflict ? base.metadata.resourceVersion : store.metadata.resourceVersion });
  const again = { retry: (count: number, error: Error) => isCode(error, 409) && !conflict && count < 3, retryDelay: 300 };
  const review = useMutation({ mutationFn: () => send(true), ...again });
  const save = useMutation({
    mutationFn: () => send(false),
    ...again,
    onSuccess: () => {
      announce('The change is saved.');
      onClose();
    },
  });
  const edit = (part: Editable) => { setEdits({ ...edits, ...part }); };
  const error = save.error ?? review.error;
  const faults = error instanceof ApiError && error.code === 422 ? error.fields() : new Map<string, string[]>();
  const shown = new Set(['spec.displayName', 'spec.host', 'spec.plan', 'spec.version', 'spec.deletionPolicy']);
  const whole = [...faults].filter(([field]) => !shown.has(field) && !field.startsWith('spec.values.')).flatMap(([field, messages]) => messages.map((message) => (field ? `${field}: ${message}` : message)));
  const reviewed = review.data && !save.isError && changesOf(store.spec, review.data.spec, 'spec');
  const heading = useRef<HTMLHeadingElement>(null);
  const form = useRef<HTMLFormElement>(null);
  // The keyboard goes where the eyes go: to what would change, or to what is wrong.
  useEffect(() => { if (review.isSuccess) heading.current?.focus(); }, [review.isSuccess]);
  useEffect(() => { if (error) form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus(); }, [error]);

  const problems = (
    <>
      {conflict && (
        <Notice
          tone="warn"
          title="Somebody changed this store meanwhile"
          action={<Button onClick={() => { setBase(store); save.reset(); review.reset(); }}>Use the newest, keep my edits</Button>}
        >
          Changed since you began: <code>{others.map(({ path }) => path).join(', ')}</code>
        </Notice>
      )}
      {whole.length > 0 && <Notice tone="bad" title="The server refuses it"><ul className="plain">{whole.map((message) => <li key={message}>{message}</li>)}</ul></Notice>}
      {error && !conflict && faults.size === 0 && <Notice tone="bad" title={isCode(error, 409) ? 'The store has just changed' : 'The server refuses it'}>{messageOf(error)}</Notice>}
    </>
  );
  const line = kubectl(store.metadata.namespace, 'patch', 'store', store.metadata.name, '--type=merge', '-p', JSON.stringify({ spec: patch }));
  if (reviewed) {
    return (
      <Dialog open onClose={onClose} title={`Edit ${base.metadata.name}`}>
        <form noValidate className="form" onSubmit={(event) => { event.preventDefault(); if (!conflict && reviewed.length > 0) save.mutate(); }}>
          <h3 ref={heading} tabIndex={-1}>{reviewed.length > 0 ? 'This will change' : 'Nothing would change'}</h3>
          <Changes changes={reviewed} />
          <Consequences from={store.spec} to={review.data.spec} engine={engine} />
          {problems}
          <Kubectl line={line} />
          <DialogActions onCancel={onClose}>
            <Button onClick={() => { review.reset(); }}>Back</Button>
            <Button type="submit" kind="primary" busy={save.isPending} aria-disabled={conflict || reviewed.length === 0}>Save</Button>
          </DialogActions>
        </form>
      </Dialog>
    );
  }
  return (
    <Dialog open onClose={onClose} title={`Edit ${base.metadata.name}`}>
      <form ref={form} noValidate className="form" onSubmit={(event) => { event.preventDefault(); if (changed && !conflict && !review.isPending) { save.reset(); review.mutate(); } }}>
        <Input label="Title" value={spec.displayName ?? ''} errors={faults.get('spec.displayName')} onChange={(displayName) => { edit({ displayName }); }} />
        <Input label="Web address" inputMode="url" autoCapitalize="none" value={spec.host ?? ''} errors={faults.get('spec.host')} onChange={(host) => { edit({ host }); }} />
        <Select label="Plan" hint={engine?.spec.plans.find(({ name }) => name === spec.plan)?.description} value={spec.plan} errors={faults.get('spec.plan')} onChange={(plan) => { edit({ plan }); }}>
          {names(base.spec.plan, engine?.spec.plans).map((name) => <option key={name}>{name}</option>)}
        </Select>
        <Select label="Version" hint="The data is backed up first, if the engine can. A failed upgrade goes back by itself; data that it has changed does not." value={spec.version} errors={faults.get('spec.version')} onChange={(version) => { edit({ version }); }}>
          {names(base.spec.version, engine?.spec.versions).map((name) => <option key={name}>{name}</option>)}
        </Select>
        {group && <Settings group={group} texts={texts} faults={faults} onChange={setSettings} />}
        <Select label="When deleted" value={spec.deletionPolicy} errors={faults.get('spec.deletionPolicy')} onChange={(policy) => { edit({ deletionPolicy: policy as DeletionPolicy }); }}>
          <option value="Delete">Removes everything</option>
          <option value="Retain">Keeps volumes and secrets</option>
        </Select>
        <label className="check">
          <input type="checkbox" checked={spec.deletionProtection ?? false} onChange={(event) => { edit({ deletionProtection: event.target.checked }); }} />
          <span>Protect from deletion<span className="hint">The server then refuses to delete the store.</span></span>
        </label>
        {problems}
        <DialogActions onCancel={onClose}><Button type="submit" kind="primary" busy={review.isPending} aria-disabled={!changed || conflict}>Review</Button></DialogActions>
      </form>
    </Dialog>
  );
}

/** What a change means for the shop, where it is more than it says. */
function Consequences({ from, to, engine }: { from: StoreSpec; to: StoreSpec; engine: Engine | undefined }) {
  const facts = (name: string | undefined) => planFacts(engine?.spec.plans.find((plan) => plan.name === name)).join(', ');
  const deadline = (engine?.spec.progressDeadlineSeconds ?? 600) * 1000;
  const told = [
    from.version !== to.version && `The shop restarts as version ${to.version ?? ''}. If it comes no nearer to being ready for ${span(deadline)}, it goes back to ${from.version ?? ''} by itself.`,
    from.plan !== to.plan && `The most that the shop may use: ${facts(from.plan) || 'unknown'} before, ${facts(to.plan) || 'unknown'} after.`,
    from.host !== to.host && `Shoppers find the shop at ${to.host ?? ''}, and at ${from.host ?? ''} no more.`,
  ].filter(Boolean);
  return told.length > 0 && <ul className="consequences">{told.map((text) => <li key={String(text)}>{text}</li>)}</ul>;
}

// What a store has is offered even if its engine no longer does.
const names = (own = '', offered: { name: string }[] = []) => [...new Set([own, ...offered.map(({ name }) => name)])].filter(Boolean);
