import { describe, expect, test } from 'vitest';
import { ApiError } from '../../api/errors';
import { groupOf } from '../../lib/schema';
import { faultsOf, nameFrom, stageOf, stagesOf, storeOf } from './draft';

const draft = { namespace: 'team', engine: 'medusa', version: '', name: ' tea ', displayName: '', host: '', adminEmail: '', plan: '', settings: {} };
const settings = groupOf({ properties: { catalog: { properties: { currency: { type: 'string' } } } } });

test('a draft says nothing that the user has not said', () => {
  expect(storeOf(draft, settings)).toEqual({
    apiVersion: 'platform.dev/v1alpha1', kind: 'Store', metadata: { name: 'tea', namespace: 'team' }, spec: { engine: 'medusa' },
  });
  const told = { ...draft, host: 'tea.example.com', plan: 'large', settings: { 'spec.values.catalog.currency': 'usd' } };
  expect(storeOf(told, settings).spec).toEqual({ engine: 'medusa', host: 'tea.example.com', plan: 'large', values: { catalog: { currency: 'usd' } } });
});

test('an engine without settings has no stage for them', () => {
  expect(stagesOf(settings)).toContain('settings');
  expect(stagesOf(undefined)).toEqual(['engine', 'details', 'plan', 'review']);
});

test.each([
  ['spec.engine', 'engine'],
  ['spec.version', 'engine'],
  ['metadata.name', 'details'],
  ['spec.host', 'details'],
  ['spec.adminEmail', 'details'],
  ['spec.plan', 'plan'],
  ['spec.values.catalog', 'settings'],
  ['spec.powerState', 'review'],
  ['', 'review'],
])('%s is asked for under %s', (field, stage) => {
  expect(stageOf(field)).toBe(stage);
});

test.each([
  ['Flowers & Friends', 'flowers-friends'],
  ['Café Zoë', 'cafe-zoe'],
  ['  --x-- ', 'x'],
  ['花', ''],
  ['a'.repeat(60), 'a'.repeat(40)],
])('%s makes the name %s', (title, name) => {
  expect(nameFrom(title)).toBe(name);
});

describe('faultsOf', () => {
  const fault = (code: number, reason: string, causes?: { field: string; message: string }[], form = draft) =>
    faultsOf(ApiError.fromStatus({ kind: 'Status', code, reason, message: 'all of it', ...(causes && { details: { causes } }) }), form);

  test('puts causes on their fields', () => {
    expect([...fault(422, 'Invalid', [{ field: 'spec.host', message: 'taken' }])]).toEqual([['spec.host', ['taken']]]);
  });
  test('leaves out what only follows from a bad name', () => {
    const causes = ['metadata.name', 'spec.host', 'spec.adminEmail'].map((field) => ({ field, message: 'bad' }));
    expect([...fault(422, 'Invalid', causes).keys()]).toEqual(['metadata.name']);
    expect([...fault(422, 'Invalid', causes, { ...draft, host: 'x_y' }).keys()]).toEqual(['metadata.name', 'spec.host']);
    expect([...fault(422, 'Invalid', causes.slice(1)).keys()]).toEqual(['spec.host', 'spec.adminEmail']);
  });
  test('puts a taken name on the name', () => {
    expect([...fault(409, 'AlreadyExists').keys()]).toEqual(['metadata.name']);
  });
  test('shows all else as it is', () => {
    expect([...fault(403, 'Forbidden')]).toEqual([['', ['all of it']]]);
    expect([...fault(422, 'Invalid')]).toEqual([['', ['all of it']]]);
  });
});
