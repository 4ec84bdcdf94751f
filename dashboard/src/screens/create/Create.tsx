import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, messageOf } from '../../api/errors';
import { createStore } from '../../api/resources';
import type { Engine } from '../../api/types';
import { announce } from '../../lib/announce';
import { useCan, useEngines, useTitle } from '../../lib/hooks';
import { useDefaultNamespace } from '../../lib/namespaces';
import { Button, Failure, Notice, Skeleton } from '../../ui/basics';
import { Icon } from '../../ui/icons';
import type { Draft, Stage } from './draft';
import { faultsOf, settingsOf, stageOf, stagesOf, storeOf } from './draft';
import { DetailsStage, EngineStage, PlanStage, ReviewStage, SettingsStage } from './stages';

const titles: Record<Stage, string> = { engine: 'Engine', details: 'Name and address', settings: 'Settings', plan: 'Plan', review: 'Review' };

export function CreateScreen() {
  useTitle('Create a store');
  const { namespace: asked } = useSearch({ from: '/create' });
  const fallback = useDefaultNamespace();
  const engines = useEngines();
  const namespace = asked ?? fallback;
  return (
    <div className="narrow">
      <Link to="/" search={{ namespace: asked }} className="back"><Icon name="back" />Stores</Link>
      <h1>Create a store</h1>
      {(engines.isPending || namespace === undefined) && <Skeleton label="Loading engines" lines={5} />}
      {engines.isError && <Failure error={engines.error} what="the engines" retry={() => void engines.refetch()} kubectl="kubectl get engines" />}
      {engines.data?.items.length === 0 && (
        <Notice tone="warn" title="The cluster offers no engine">Ask whoever runs it to install one: an Engine names the shop software that stores run.</Notice>
      )}
      {namespace !== undefined && engines.data?.items[0] && <Wizard engines={engines.data.items} namespace={namespace} first={engines.data.items[0]} />}
    </div>
  );
}

function Wizard({ engines, namespace, first }: { engines: Engine[]; namespace: string; first: Engine }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [stage, setStage] = useState<Stage>('engine');
  const [draft, setDraft] = useState<Draft>({
    namespace, engine: first.metadata.name, version: '', name: '', displayName: '', host: '', adminEmail: '', plan: '', settings: {},
  });
  const [faults, setFaults] = useState(new Map<string, string[]>());
  const heading = useRef<HTMLHeadingElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const mayCreate = useCan({ verb: 'create', namespace: draft.namespace });
  const engine = engines.find((candidate) => candidate.metadata.name === draft.engine) ?? first;
  const settings = useMemo(() => settingsOf(engine), [engine]);
  const stages = stagesOf(settings);
  const index = stages.indexOf(stage);

  const change = (part: Partial<Draft>) => {
    setDraft((old) => ({ ...old, ...part }));
    setFaults(new Map());
  };
  const go = (next: Stage) => {
    setStage(next);
    announce(`Step ${String(stages.indexOf(next) + 1)} of ${String(stages.length)}: ${titles[next]}`);
  };
  // The keyboard goes where the eyes go: to the first faulty field, else to the
  // heading of the new stage.
  const moved = useRef(false);
  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    (form.current?.querySelector<HTMLElement>('[aria-invalid=true]') ?? heading.current)?.focus();
  });

  const submit = useMutation({
    mutationFn: (dryRun: boolean) => createStore(storeOf(draft, settings), dryRun),
    onSuccess: (store, dryRun) => {
      const next = stages[index + 1];
      if (dryRun) {
        setFaults(new Map());
        if (next) go(next);
        moved.current = true;
        return;
      }
      void client.invalidateQueries({ queryKey: ['quota'] });
      announce(`Store ${store.metadata.name} is created.`);
      void navigate({ to: '/stores/$namespace/$name', params: { namespace: draft.namespace, name: store.metadata.name } });
    },
    onError: (error, dryRun) => {
      moved.current = true;
      const all = error instanceof ApiError ? faultsOf(error, draft) : new Map([['', [messageOf(error)]]]);
      // While the form is being filled in, only what has been asked so far counts.
      const reached = [...all].filter(([field]) => !dryRun || field === '' || stages.indexOf(stageOf(field)) <= index);
      const next = stages[index + 1];
      if (reached.length === 0 && next) {
        setFaults(new Map());
        go(next);
        return;
      }
      setFaults(new Map(reached));
      const home = reached.map(([field]) => stageOf(field)).sort((a, b) => stages.indexOf(a) - stages.indexOf(b))[0];
      if (home && home !== stage && reached.every(([field]) => field !== '')) go(home);
    },
  });

  const next = () => {
    moved.current = true;
    // Nothing can be checked before the store has a name.
    if (stage === 'engine') go('details');
    else submit.mutate(stage !== 'review');
  };
  // What is of no field on the screen is told above them.
  const whole = [...faults].filter(([field]) => field === '' || field === 'spec.values' || stageOf(field) === 'review').flatMap(([field, messages]) => messages.map((message) => (field ? `${field}: ${message}` : message)));
  const props = { draft, change, faults, engines, engine, settings };
  return (
    <>
      <ol className="stages" aria-label="Steps">
        {stages.map((name, position) => (
          <li key={name} aria-current={name === stage ? 'step' : undefined} className={position < index ? 'done' : undefined}>
            {position < index ? (
              <button type="button" onClick={() => { moved.current = true; go(name); }}><span className="stage-mark"><Icon name="check" /></span><span>{titles[name]}</span></button>
            ) : <span><span className="stage-mark number">{position + 1}</span><span>{titles[name]}</span></span>}
          </li>
        ))}
      </ol>
      {mayCreate === false && (
        <Notice tone="warn" title={`You may not create stores in namespace ${draft.namespace}`}>
          Choose another namespace under “Name and address”, or ask for the role edit there.
        </Notice>
      )}
      <form ref={form} noValidate className="card form" onSubmit={(event) => { event.preventDefault(); if (!submit.isPending) next(); }}>
        <h2 ref={heading} tabIndex={-1}>{titles[stage]}</h2>
        {whole.length > 0 && (
          <Notice tone="bad" title="The server refuses this store">
            <ul className="plain">{whole.map((message) => <li key={message}>{message}</li>)}</ul>
          </Notice>
        )}
        {stage === 'engine' && <EngineStage {...props} />}
        {stage === 'details' && <DetailsStage {...props} />}
        {stage === 'settings' && <SettingsStage {...props} />}
        {stage === 'plan' && <PlanStage {...props} />}
        {stage === 'review' && <ReviewStage {...props} />}
        <div className="form-actions">
          {index > 0 && <Button onClick={() => { moved.current = true; setFaults(new Map()); go(stages[index - 1] ?? 'engine'); }}>Back</Button>}
          <Button type="submit" kind="primary" busy={submit.isPending} aria-disabled={stage === 'review' && mayCreate === false}>
            {stage === 'review' ? 'Create store' : 'Continue'}
          </Button>
        </div>
      </form>
    </>
  );
}
