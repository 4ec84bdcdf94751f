import type { Change } from '../lib/diff';

/** What changes, field by field: before and after. */
export function Changes({ changes }: { changes: readonly Change[] }) {
  if (changes.length === 0) return null;
  return (
    <ul className="changes">
      {changes.map(({ path, from, to }) => (
        <li key={path}>
          <code>{path}</code> {from !== undefined && <del><span className="offscreen">from </span>{show(from)}</del>} {to !== undefined && <ins><span className="offscreen">to </span>{show(to)}</ins>}
        </li>
      ))}
    </ul>
  );
}

const show = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
