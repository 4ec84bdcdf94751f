import { describe, expect, test } from 'vitest';
import type { Schema, SettingGroup } from './schema';
import { faultsAt, groupOf, hintOf, textOf, textsOf, told, valueOf, valuesOf, valuesPatch } from './schema';

const schema: Schema = {
  type: 'object',
  required: ['theme'],
  properties: {
    theme: { type: 'string', enum: ['plain', 'dark'], default: 'plain' },
    catalog: {
      type: 'object',
      description: 'What it starts with.',
      required: ['currency'],
      properties: {
        currency: { type: 'string', title: 'Money' },
        sampleProducts: { type: 'boolean' },
        limits: { type: 'object', properties: { per_day: { type: 'integer' } } },
      },
    },
    labels: { type: 'object' },
  },
};
const group = groupOf(schema);

test('every object of a schema is a group, with its settings in words', () => {
  const tree = ({ title, description, settings, groups }: SettingGroup): unknown => [title, description, settings.map((setting) => [setting.field, setting.title, setting.required]), groups.map(tree)];
  expect(group && tree(group)).toEqual(
    ['', undefined, [['spec.values.theme', 'Theme', true], ['spec.values.labels', 'Labels', false]], [
      ['Catalog', 'What it starts with.', [['spec.values.catalog.currency', 'Money', false], ['spec.values.catalog.sampleProducts', 'Sample products', false]], [
        ['Limits', undefined, [['spec.values.catalog.limits.per_day', 'Per day', false]], []],
      ]],
    ]],
  );
});

test.each<[string, Schema | undefined]>([['no schema', undefined], ['a schema of nothing', { type: 'object', properties: { a: { properties: {} } } }]])('%s asks for nothing', (_name, none) => {
  expect(groupOf(none)).toBeUndefined();
});

describe('a text and its value', () => {
  test.each<[string, Schema, string, unknown]>([
    ['text', { type: 'string' }, '007', '007'],
    ['a whole number', { type: 'integer' }, '7', 7],
    ['what is no number', { type: 'integer' }, 'seven', 'seven'],
    ['yes', { type: 'boolean' }, 'true', true],
    ['a choice', { enum: ['a', 1] }, '"a"', 'a'],
    ['a list of texts', { type: 'array', items: { type: 'string' } }, 'de, fr', ['de', 'fr']],
    ['a list of numbers', { type: 'array', items: { type: 'integer' } }, '1, 2', [1, 2]],
    ['a list of objects', { type: 'array', items: { type: 'object' } }, '[{"a":1}]', [{ a: 1 }]],
    ['an object of any members', { type: 'object' }, '{"a":1}', { a: 1 }],
    ['what is no JSON', { type: 'object' }, '{a', '{a'],
  ])('%s', (_name, of, text, value) => {
    expect(valueOf(of, text)).toEqual(value);
    if (typeof value !== 'string' || of.type === 'string') expect(textOf(of, value)).toBe(text);
  });
});

test('what is left empty is not said', () => {
  expect(valuesOf(group, {})).toBeUndefined();
  expect(valuesOf(group, { 'spec.values.theme': ' ', 'spec.values.catalog.limits.per_day': '5' })).toEqual({ catalog: { limits: { per_day: 5 } } });
});

test('a patch has what changes, and removes what is left to the engine again', () => {
  const before = textsOf(group, { theme: 'dark', catalog: { currency: 'eur', sampleProducts: false } });
  expect(valuesOf(group, before)).toEqual({ theme: 'dark', catalog: { currency: 'eur', sampleProducts: false } });
  expect(valuesPatch(group, before, before)).toBeUndefined();
  expect(valuesPatch(group, before, { ...before, 'spec.values.catalog.currency': '', 'spec.values.catalog.limits.per_day': '9' }))
    .toEqual({ catalog: { currency: null, limits: { per_day: 9 } } });
});

test('what was typed reads as words', () => {
  expect(told(group, { 'spec.values.theme': '"dark"', 'spec.values.catalog.sampleProducts': 'false', 'spec.values.catalog.limits.per_day': '7', 'spec.values.labels': '' }))
    .toEqual([['Theme', 'dark'], ['Catalog: sample products', 'No'], ['Catalog: limits: per day', '7']]);
});

test('a fault within a setting is the setting’s', () => {
  const faults = new Map([['spec.values.tags[1]', ['bad']], ['spec.values.tagsOf', ['another']], ['spec.values.tags', ['too many']]]);
  expect(faultsAt(faults, 'spec.values.tags')).toEqual(['bad', 'too many']);
});

test.each<[string, Schema, string]>([
  ['a description', { type: 'string', description: 'Three letters.', pattern: '^...$' }, 'Three letters.'],
  ['a pattern alone', { type: 'string', pattern: '^...$' }, 'Must match ^...$.'],
  ['bounds', { type: 'integer', minimum: 1, maximum: 9, default: 3 }, 'From 1 to 9. Left empty, it is 3.'],
  ['a list', { type: 'array', items: { type: 'string' }, minItems: 1, default: ['de', 'fr'] }, 'Separated by commas. At least 1 entry. Left empty, it is de, fr.'],
  ['anything', {}, 'As JSON.'],
])('%s is told', (_name, of, hint) => {
  expect(hintOf(of)).toBe(hint);
});
