import { expect, test } from 'vitest';
import type { ContainerStatus, Pod } from '../api/types';
import { containersOf, podStateOf } from './pods';

const metadata = { name: 'web-0', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' };
const status = (state: ContainerStatus['state'], more: Partial<ContainerStatus> = {}): ContainerStatus => ({ name: 'web', ready: false, restartCount: 0, ...(state && { state }), ...more });
const pod = (of: Pod['status']): Pod => ({ metadata, spec: { containers: [{ name: 'web' }], initContainers: [{ name: 'wait' }] }, ...(of && { status: of }) });

test.each<[string, Pod, object]>([
  ['runs', pod({ phase: 'Running', containerStatuses: [status({ running: {} }, { ready: true, restartCount: 2 })] }), { tone: 'ok', word: 'Running', ready: 1, total: 1, restarts: 2 }],
  ['runs, and is not ready', pod({ phase: 'Running', containerStatuses: [status({ running: {} })] }), { tone: 'busy', word: 'Running' }],
  ['crashes', pod({ phase: 'Running', containerStatuses: [status({ waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } })] }), { tone: 'bad', word: 'CrashLoopBackOff', message: 'back-off' }],
  ['has crashed', pod({ phase: 'Running', containerStatuses: [status({ terminated: { exitCode: 3 } })] }), { tone: 'bad', word: 'Error', message: 'Exit code 3.' }],
  ['is made', pod({ phase: 'Pending', containerStatuses: [status({ waiting: { reason: 'PodInitializing' } })], initContainerStatuses: [status({ terminated: { exitCode: 0 } })] }), { tone: 'busy', word: 'PodInitializing' }],
  ['has no place', pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message: 'no node' }] }), { tone: 'busy', word: 'Pending', message: 'no node' }],
  ['has done its part', pod({ phase: 'Succeeded', containerStatuses: [status({ terminated: { exitCode: 0 } })] }), { tone: 'ok', word: 'Completed' }],
  ['is taken off its machine', pod({ phase: 'Failed', reason: 'Evicted', message: 'low on memory' }), { tone: 'bad', word: 'Evicted', message: 'low on memory' }],
  ['goes', { ...pod({ phase: 'Running' }), metadata: { ...metadata, deletionTimestamp: metadata.creationTimestamp } }, { tone: 'going', word: 'Terminating' }],
  ['is new', pod(undefined), { tone: 'busy', word: 'Unknown' }],
])('a pod that %s', (_name, of, state) => {
  expect(podStateOf(of)).toMatchObject(state);
});

test('only a container that has begun has a log', () => {
  const containers = containersOf(pod({ containerStatuses: [status({ waiting: { reason: 'PodInitializing' } })], initContainerStatuses: [status({ running: {} }, { name: 'wait', containerID: 'c1' })] }));
  expect(containers).toMatchObject([{ name: 'web', init: false, id: '', running: false, waiting: 'PodInitializing' }, { name: 'wait', init: true, id: 'c1', running: true }]);
});
