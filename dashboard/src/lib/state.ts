import type { Condition, Store, StoreStep } from '../api/types';

/** Every tone has its own icon and word beside its colour. */
export type Tone = 'ok' | 'busy' | 'bad' | 'warn' | 'idle' | 'asleep' | 'going';

export interface State {
  tone: Tone;
  word: string;
  /** The sentence of the Ready condition: what holds, or what is in the way. */
  message: string;
}

export function condition(store: Store, type: string): Condition | undefined {
  return store.status?.conditions?.find((c) => c.type === type);
}

/** What a store is up to, in one word. */
export function stateOf(store: Store): State {
  const ready = condition(store, 'Ready');
  const message = ready?.message ?? '';
  const state = (tone: Tone, word: string): State => ({ tone, word, message });

  if (store.metadata.deletionTimestamp) return state('going', 'Deleting');
  if (store.spec.suspend) return state('idle', 'Suspended');
  if (condition(store, 'Stalled')?.status === 'True') return state('bad', 'Needs attention');
  const current = ready?.observedGeneration === undefined || ready.observedGeneration === store.metadata.generation;
  if (store.spec.powerState === 'Hibernated') {
    return ready?.reason === 'Hibernated' && current ? state('asleep', 'Hibernated') : state('busy', 'Going to sleep');
  }
  if (ready?.status === 'True') return current ? state('ok', 'Ready') : state('busy', 'Updating');
  if (!store.status?.steps?.length) return state('idle', 'Waiting');
  return state('busy', store.status.release?.actions?.length ? 'Starting' : 'Setting up');
}

export interface Progress {
  done: number;
  total: number;
  steps: StoreStep[];
  /** The step that everything waits for, if any. */
  current: StoreStep | undefined;
  /** When the work on the current step began. */
  since: string | undefined;
}

export function progressOf(store: Store): Progress {
  const steps = store.status?.steps ?? [];
  const current = steps.find((step) => step.state !== 'Done');
  return {
    steps,
    done: steps.filter((step) => step.state === 'Done').length,
    total: steps.length,
    current,
    since: current?.startTime ?? store.metadata.creationTimestamp,
  };
}

const stepTitles: Record<string, string> = {
  NamespaceReady: 'Namespace and limits',
  SecretsReady: 'Passwords and keys',
  ReleaseInstalled: 'Shop software',
  WorkloadReady: 'Database and web server',
  RouteReady: 'Web address',
  StorefrontReady: 'Storefront sells',
};

/** What a step is for, in words. A step that this page does not know keeps its name. */
export const stepTitle = (name: string) => stepTitles[name] ?? name;

export const titleOf = (store: Store) => store.spec.displayName ?? store.metadata.name;

/** Whether every word of the filter is in what the list shows of a store. */
export function matches(store: Store, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const { name, namespace = '' } = store.metadata;
  const { engine, plan = '', version = '', host = '', owner = '', displayName = '' } = store.spec;
  const text = [name, namespace, displayName, engine, version, plan, host, owner, stateOf(store).word].join('\n').toLowerCase();
  return words.every((word) => text.includes(word));
}
