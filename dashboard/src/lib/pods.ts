import type { ContainerStatus, Pod } from '../api/types';
import type { Tone } from './state';

export interface PodState {
  tone: Tone;
  /** The word that kubectl shows as STATUS. */
  word: string;
  /** What is in the way, in the cluster's own words. */
  message: string;
  ready: number;
  total: number;
  restarts: number;
}

/** How a pod does, in a word, and what is in its way. */
export function podStateOf(pod: Pod): PodState {
  const statuses = pod.status?.containerStatuses ?? [];
  const counts = {
    ready: statuses.filter((status) => status.ready).length,
    total: pod.spec.containers.length,
    restarts: statuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
  };
  const phase = pod.status?.phase ?? 'Unknown';
  if (pod.metadata.deletionTimestamp) return { ...counts, tone: 'going', word: 'Terminating', message: '' };
  if (phase === 'Succeeded') return { ...counts, tone: 'ok', word: 'Completed', message: '' };
  const blocked = [...(pod.status?.initContainerStatuses ?? []), ...statuses].map(blockOf).find((block) => block !== undefined);
  if (blocked) return { ...counts, tone: blocked.word === 'ContainerCreating' || blocked.word === 'PodInitializing' ? 'busy' : 'bad', ...blocked };
  if (phase === 'Failed') return { ...counts, tone: 'bad', word: pod.status?.reason ?? 'Failed', message: pod.status?.message ?? '' };
  if (phase === 'Running') return { ...counts, tone: counts.ready === counts.total ? 'ok' : 'busy', word: 'Running', message: '' };
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  return { ...counts, tone: 'busy', word: phase, message: unscheduled?.message ?? '' };
}

/** Why a container does not run; undefined for one that does, or has done its part. */
function blockOf({ state }: ContainerStatus): { word: string; message: string } | undefined {
  const { waiting, terminated } = state ?? {};
  if (waiting) return { word: waiting.reason ?? 'Waiting', message: waiting.message ?? '' };
  if (terminated && terminated.exitCode !== 0) return { word: terminated.reason ?? 'Error', message: terminated.message ?? `Exit code ${String(terminated.exitCode)}.` };
  return undefined;
}

export interface Container {
  name: string;
  init: boolean;
  /** Empty for a container that has not begun, and so has no log. */
  id: string;
  running: boolean;
  waiting: string;
}

/** The containers of a pod: those that run it, then those that prepare it. */
export function containersOf(pod: Pod): Container[] {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return [...pod.spec.containers.map(({ name }) => ({ name, init: false })), ...(pod.spec.initContainers ?? []).map(({ name }) => ({ name, init: true }))].map((container) => {
    const status = statuses.find(({ name }) => name === container.name);
    const waiting = status?.state?.waiting;
    return { ...container, id: status?.containerID ?? '', running: status?.state?.running !== undefined, waiting: waiting?.message ?? waiting?.reason ?? 'The pod is not on a machine yet.' };
  });
}
