import { useQuery } from '@tanstack/react-query';
import { isCode } from '../../api/errors';
import { reviewQuota } from '../../api/resources';
import type { Engine } from '../../api/types';
import { useConfig, useNamespaces } from '../../lib/hooks';
import { shell } from '../../lib/kubectl';
import { planFacts } from '../../lib/plans';
import type { SettingGroup } from '../../lib/schema';
import { told } from '../../lib/schema';
import { span } from '../../lib/time';
import { toYaml } from '../../lib/yaml';
import { Input, Kubectl, Notice, Select } from '../../ui/basics';
import { Code } from '../../ui/code';
import { Settings } from '../../ui/settings';
import type { Draft } from './draft';
import { nameFrom, storeOf } from './draft';

interface Props {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  faults: Map<string, string[]>;
  engines: Engine[];
  engine: Engine;
  settings: SettingGroup | undefined;
}

export function EngineStage({ draft, change, faults, engines, engine }: Props) {
  return (
    <>
      <fieldset className="choices">
        <legend>The software that runs the shop. It cannot be changed later.</legend>
        {engines.map((option) => (
          <Choice
            key={option.metadata.name}
            group="engine"
            checked={option.metadata.name === draft.engine}
            onChange={() => { change({ engine: option.metadata.name, version: '', plan: '', settings: {} }); }}
            title={option.spec.displayName ?? option.metadata.name}
            text={option.spec.description}
          />
        ))}
      </fieldset>
      <Select label="Version" value={draft.version || engine.spec.defaultVersion} errors={faults.get('spec.version')} onChange={(version) => { change({ version: version === engine.spec.defaultVersion ? '' : version }); }}>
        {engine.spec.versions.map(({ name }) => <option key={name} value={name}>{name === engine.spec.defaultVersion ? `${name} (recommended)` : name}</option>)}
      </Select>
    </>
  );
}

export function DetailsStage({ draft, change, faults }: Props) {
  const namespaces = useNamespaces();
  const domain = useConfig().data?.storeDomain;
  const followed = draft.name === nameFrom(draft.displayName);
  const host = draft.name && domain ? `${draft.name}.${domain}` : '';
  return (
    <>
      <Input
        label="Title"
        hint="As shoppers see it. Left empty, it is the name."
        value={draft.displayName}
        errors={faults.get('spec.displayName')}
        onChange={(displayName) => { change({ displayName, ...(followed && { name: nameFrom(displayName) }) }); }}
      />
      <Input
        label="Name"
        hint="Lower-case letters, digits and dashes. It cannot be changed later."
        required
        autoCapitalize="none"
        value={draft.name}
        errors={faults.get('metadata.name')}
        onChange={(name) => { change({ name }); }}
      />
      {namespaces.data ? (
        <Select label="Namespace" hint="Who may use this namespace may see the store." value={draft.namespace} errors={faults.get('metadata.namespace')} onChange={(namespace) => { change({ namespace }); }}>
          {[...new Set([draft.namespace, ...namespaces.data.items.map((item) => item.metadata.name)])].map((name) => <option key={name}>{name}</option>)}
        </Select>
      ) : (
        <Input label="Namespace" hint="Who may use this namespace may see the store." value={draft.namespace} errors={faults.get('metadata.namespace')} onChange={(namespace) => { change({ namespace }); }} />
      )}
      <Input
        label="Web address"
        hint={host ? `Left empty, it is ${host}.` : "Left empty, it is the name under the platform's domain."}
        inputMode="url"
        autoCapitalize="none"
        placeholder={host}
        value={draft.host}
        errors={faults.get('spec.host')}
        onChange={(value) => { change({ host: value }); }}
      />
      <Input
        label="Admin’s email"
        hint="The login of the shop’s administrator. Left empty, it is admin@ the address."
        type="email"
        value={draft.adminEmail}
        errors={faults.get('spec.adminEmail')}
        onChange={(adminEmail) => { change({ adminEmail }); }}
      />
    </>
  );
}

export function SettingsStage({ draft, change, faults, engine, settings }: Props) {
  if (!settings) return null;
  return (
    <>
      <p className="hint">What {engine.spec.displayName ?? engine.metadata.name} lets each shop choose. Whatever you leave is chosen by the engine.</p>
      <Settings group={settings} texts={draft.settings} faults={faults} onChange={(texts) => { change({ settings: texts }); }} />
    </>
  );
}

export function PlanStage({ draft, change, faults, engine }: Props) {
  const chosen = draft.plan || engine.spec.defaultPlan;
  return (
    <>
      <Quota namespace={draft.namespace} />
      <fieldset className="choices" aria-describedby={faults.has('spec.plan') ? 'plan-errors' : undefined}>
        <legend>The most that the shop with its database may use.</legend>
        {engine.spec.plans.map((plan) => (
          <Choice
            key={plan.name}
            group="plan"
            checked={plan.name === chosen}
            onChange={() => { change({ plan: plan.name === engine.spec.defaultPlan ? '' : plan.name }); }}
            title={plan.name}
            text={plan.description}
            facts={planFacts(plan)}
          />
        ))}
      </fieldset>
      {faults.has('spec.plan') && <p id="plan-errors" className="field-errors">{faults.get('spec.plan')?.join(' ')}</p>}
    </>
  );
}

export function ReviewStage({ draft, engine, settings }: Props) {
  const store = storeOf(draft, settings);
  const yaml = toYaml(store);
  const rows: [string, string][] = [
    ['Engine', `${engine.spec.displayName ?? engine.metadata.name} ${draft.version || engine.spec.defaultVersion}`],
    ['Title', draft.displayName || draft.name],
    ['Name', `${draft.namespace}/${store.metadata.name}`],
    ['Web address', draft.host || 'chosen by the platform'],
    ['Admin’s email', draft.adminEmail || 'chosen by the platform'],
    ...told(settings, draft.settings),
    ['Plan', draft.plan || engine.spec.defaultPlan],
  ];
  return (
    <>
      <Notice tone="ok" title="The server has checked this store and would take it." />
      <dl className="facts">{rows.map(([term, value]) => <div key={term}><dt>{term}</dt><dd>{value}</dd></div>)}</dl>
      <h3>The same as a file</h3>
      <Code text={yaml} label="store.yaml" />
      <Kubectl line={`kubectl create -f ${shell('store.yaml')}`} />
    </>
  );
}

interface ChoiceProps {
  group: string;
  checked: boolean;
  onChange: () => void;
  title: string;
  text?: string | undefined;
  facts?: string[];
}

function Choice({ group, checked, onChange, title, text, facts: list = [] }: ChoiceProps) {
  return (
    <label className="choice">
      <input type="radio" name={group} checked={checked} onChange={onChange} />
      <span>
        <span className="choice-title">{title}</span>
        {text && <span className="choice-text">{text}</span>}
        {list.length > 0 && <span className="choice-facts">{list.map((fact) => <span key={fact} className="number">{fact}</span>)}</span>}
      </span>
    </label>
  );
}

function Quota({ namespace }: { namespace: string }) {
  const quota = useQuery({ queryKey: ['quota', namespace], queryFn: () => reviewQuota(namespace), staleTime: 0, gcTime: 0, retry: false });
  // A server without quotas has nothing to say.
  if (quota.isPending || isCode(quota.error, 404, 405)) return null;
  if (quota.isError) return <Notice tone="warn" title="The quota is unknown">The server still decides by it: {quota.error.message}</Notice>;
  const { limits = [], createRate } = quota.data;
  const rateLeft = createRate ? createRate.count - (createRate.used ?? 0) : Infinity;
  return (
    <div className="quota">
      {limits.map(({ source, scope, hard, used }) => hard !== undefined && (
        <div key={`${source}/${scope}`} className="quota-line">
          <span>{scope === 'Owner' ? 'Your stores' : `Stores in ${namespace}`}<span className="sub inline"> {source === 'default' ? '' : source}</span></span>
          <meter min={0} max={hard} value={Math.min(used, hard)} aria-label={scope === 'Owner' ? 'Your stores' : `Stores in ${namespace}`} />
          <span className="number">{used >= hard ? `none left of ${String(hard)}` : `${String(hard - used)} left of ${String(hard)}`}</span>
        </div>
      ))}
      {limits.some(({ hard, used }) => hard !== undefined && used >= hard) && (
        <Notice tone="warn" title="No store is left in the quota">Delete a store that you no longer need, or ask whoever runs the cluster for more.</Notice>
      )}
      {rateLeft <= 0 && createRate && (
        <Notice tone="warn" title="Too many new stores in a short time">At most {createRate.count} in {span(createRate.windowSeconds * 1000)}. Wait a little.</Notice>
      )}
    </div>
  );
}
