import { expect, test } from 'vitest';
import type { Condition, Store } from '../api/types';
import { matches, progressOf, stateOf } from './state';

const base: Store = {
  metadata: { name: 'tea', namespace: 'team', uid: '1', resourceVersion: '1', generation: 2, creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { engine: 'medusa', owner: 'alice', displayName: 'The Tea House' },
};

const condition = (type: string, status: Condition['status'], reason: string, observedGeneration = 2): Condition =>
  ({ type, status, reason, message: `${reason}.`, observedGeneration, lastTransitionTime: '2026-01-01T00:00:00Z' });

const store = (conditions: Condition[], more: Partial<Store> = {}): Store => ({
  ...base,
  status: { conditions, steps: [{ name: 'NamespaceReady', state: 'Done' }] },
  ...more,
});

const hibernated = { spec: { ...base.spec, powerState: 'Hibernated' as const } };

test.each<[string, Store]>([
  ['Waiting', base],
  ['Setting up', store([condition('Ready', 'False', 'WorkloadNotReady')])],
  ['Ready', store([condition('Ready', 'True', 'Selling')])],
  ['Updating', store([condition('Ready', 'True', 'Selling', 1)])],
  ['Needs attention', store([condition('Ready', 'False', 'ImagePullBackOff'), condition('Stalled', 'True', 'ImagePullBackOff')])],
  ['Going to sleep', store([condition('Ready', 'True', 'Selling', 1)], hibernated)],
  ['Hibernated', store([condition('Ready', 'False', 'Hibernated')], hibernated)],
  ['Suspended', store([condition('Ready', 'Unknown', 'Suspended')], { spec: { ...base.spec, suspend: true } })],
  ['Deleting', store([condition('Ready', 'True', 'Selling')], { metadata: { ...base.metadata, deletionTimestamp: '2026-01-02T00:00:00Z' } })],
])('a store is said to be %s', (word, value) => {
  expect(stateOf(value).word).toBe(word);
});

test('progress counts what is done and names what is waited for', () => {
  const status = { steps: [{ name: 'A', state: 'Done' as const }, { name: 'B', state: 'Running' as const, startTime: '2026-01-01T00:01:00Z' }, { name: 'C', state: 'Pending' as const }] };
  expect(progressOf({ ...base, status })).toMatchObject({ done: 1, total: 3, current: { name: 'B' }, since: '2026-01-01T00:01:00Z' });
});

test.each([
  ['', true],
  ['tea alice', true],
  ['TEA HOUSE', true],
  ['ready', true],
  ['tea bob', false],
])('the filter %j matches: %s', (filter, expected) => {
  expect(matches(store([condition('Ready', 'True', 'Selling')]), filter)).toBe(expected);
});
