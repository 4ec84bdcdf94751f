import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { toYaml } from './yaml';

test.each<[string, unknown]>([
  ['an object', { kind: 'Store', metadata: { name: 'tea' }, spec: { suspend: false, replicas: 3 } }],
  ['words that YAML reads as something else', { a: 'true', b: 'No', c: 'null', d: '1.0', e: '0x1f', f: '1e3', g: '~', h: '', i: '.inf', j: '2026-01-01' }],
  ['characters with a meaning', { title: 'Fish & "Chips": #1', b: "it's", c: '- x', d: '{a}', e: '*x', f: '!tag', g: 'a: b', h: '@x', i: '%', j: 'x #y' }],
  ['lines and spaces', { a: 'one\ntwo\n', b: ' lead', c: 'trail ', d: '\ttab', e: '\u2028\u0085' }],
  ['keys with a meaning', { 'platform.dev/x': 1, 'y': 2, '#': 3, '1': 4, 'a: b': 5 }],
  ['lists', { a: [1, [2, [3]], { b: ['x', { c: {} }], d: [] }], e: [] }],
  ['nothing', { a: null, b: {}, c: [] }],
  ['no value at all', { a: 1 }],
])('%s comes back as it was', (_name, value) => {
  expect(parse(toYaml(value))).toEqual(value);
});

test('members without a value are left out', () => {
  expect(toYaml({ a: 1, b: undefined, c: { d: undefined } })).toBe('a: 1\nc: {}\n');
});
