/** One value that differs, as the API's history tells it. */
export interface Change {
  path: string;
  from?: unknown;
  to?: unknown;
}

/** What leads from one value of JSON to another, each at its path, such as "spec.plan". */
export function changesOf(from: unknown, to: unknown, path = ''): Change[] {
  if (Object.is(from, to)) return [];
  if (!isObject(from) || !isObject(to)) return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }];
  return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => changesOf(from[key], to[key], path ? `${path}.${key}` : key));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
