import { expect, test } from 'vitest';
import type { Change } from './diff';
import { changesOf } from './diff';

test.each<[string, unknown, unknown, Change[]]>([
  ['the same', { a: { b: [1] } }, { a: { b: [1] } }, []],
  ['a changed value', { a: { b: 1, c: 2 } }, { a: { b: 3, c: 2 } }, [{ path: 'spec.a.b', from: 1, to: 3 }]],
  ['a new value', {}, { a: 1 }, [{ path: 'spec.a', from: undefined, to: 1 }]],
  ['a value that goes', { a: { b: 1 } }, {}, [{ path: 'spec.a', from: { b: 1 }, to: undefined }]],
  ['a list, as a whole', { a: [1, 2] }, { a: [1] }, [{ path: 'spec.a', from: [1, 2], to: [1] }]],
])('%s', (_name, from, to, changes) => {
  expect(changesOf(from, to, 'spec')).toEqual(changes);
});
