/** A JSON Schema, as far as a form is made of it. */
export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
}

/** One value that a form asks for. */
export interface Setting {
  /** Where the API has it, such as "spec.values.catalog.currency". */
  field: string;
  path: string[];
  title: string;
  /** The title with those of the groups around it. */
  label: string;
  schema: Schema;
  /** Whether no store goes without it. */
  required: boolean;
}

/** The settings of one object of the schema; the outermost has no title. */
export interface SettingGroup {
  field: string;
  title: string;
  description: string | undefined;
  settings: Setting[];
  groups: SettingGroup[];
}

/** What was typed, by field of the API. An empty text means: let the engine choose. */
export type Texts = Record<string, string>;

/** The settings that a schema allows, or undefined if it allows none. */
export function groupOf(schema: Schema | undefined): SettingGroup | undefined {
  const group = walk(schema ?? {}, [], [], true);
  return settingsIn(group).length > 0 ? group : undefined;
}

/** All settings of a group and of those within it. */
export const settingsIn = (group: SettingGroup | undefined): Setting[] => (group ? [...group.settings, ...group.groups.flatMap(settingsIn)] : []);

function walk(schema: Schema, path: string[], titles: string[], required: boolean): SettingGroup {
  const group: SettingGroup = { field: fieldOf(path), title: titles.at(-1) ?? '', description: schema.description, settings: [], groups: [] };
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const at = [...path, name];
    const needed = required && (schema.required?.includes(name) ?? false);
    const title = child.title ?? wordsOf(name);
    if (child.properties) group.groups.push(walk(child, at, [...titles, title], needed));
    else group.settings.push({ field: fieldOf(at), path: at, title, label: labelOf([...titles, title]), schema: child, required: needed });
  }
  return group;
}

const labelOf = (titles: string[]) => titles.map((title, index) => (index > 0 ? title.toLowerCase() : title)).join(': ');

const fieldOf = (path: string[]) => ['spec.values', ...path].join('.');

/** The words in a name of a program's, such as "Sample products". */
function wordsOf(name: string): string {
  const words = name.replace(/[-_]+/g, ' ').replace(/([a-z\d])([A-Z])/g, (_, end: string, begin: string) => `${end} ${begin.toLowerCase()}`).trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const plain = ['string', 'integer', 'number', 'boolean'];

/** Whether a schema is of lists that can be written with commas. */
export const isList = ({ type, items }: Schema): boolean => type === 'array' && plain.includes(items?.type ?? '');

/**
 * The value that a text stands for, or undefined for an empty one. A text that is
 * no value of the schema's type stays a text: what is wrong with it is the
 * server's to say.
 */
export function valueOf(schema: Schema, text: string): unknown {
  if (text.trim() === '') return undefined;
  if (isList(schema)) {
    const items = { ...schema.items };
    return text.split(',').map((item) => item.trim()).filter(Boolean).map((item) => valueOf(items, item));
  }
  if (schema.type === 'string' && !schema.enum) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The text that stands for a value, as valueOf reads it. */
export function textOf(schema: Schema, value: unknown): string {
  if (value === undefined) return '';
  if (isList(schema) && Array.isArray(value)) return value.map((item) => textOf({ ...schema.items }, item)).join(', ');
  if (schema.type === 'string' && !schema.enum && typeof value === 'string') return value;
  return JSON.stringify(value);
}

/** The values that texts stand for, without those left to the engine; undefined for none at all. */
export function valuesOf(group: SettingGroup | undefined, texts: Texts): Record<string, unknown> | undefined {
  return nest(group, ({ field, schema }) => valueOf(schema, texts[field] ?? ''));
}

/** The texts of values. */
export function textsOf(group: SettingGroup | undefined, values: unknown): Texts {
  const texts: Texts = {};
  for (const { field, path, schema } of settingsIn(group)) {
    const text = textOf(schema, at(values, path));
    if (text) texts[field] = text;
  }
  return texts;
}

/**
 * The JSON merge patch of the values that turns before into after; undefined when
 * nothing changes. A value that is left to the engine again is removed.
 */
export function valuesPatch(group: SettingGroup | undefined, before: Texts, after: Texts): Record<string, unknown> | undefined {
  return nest(group, ({ field, schema }) => {
    const [old = '', text = ''] = [before[field], after[field]];
    return text === old ? undefined : valueOf(schema, text) ?? null;
  });
}

function nest(group: SettingGroup | undefined, value: (setting: Setting) => unknown): Record<string, unknown> | undefined {
  const root: Record<string, unknown> = {};
  for (const setting of settingsIn(group)) {
    const leaf = value(setting);
    if (leaf === undefined) continue;
    let object = root;
    for (const name of setting.path.slice(0, -1)) object = (object[name] ??= {}) as Record<string, unknown>;
    object[setting.path.at(-1) ?? ''] = leaf;
  }
  return Object.keys(root).length > 0 ? root : undefined;
}

function at(value: unknown, path: string[]): unknown {
  return path.reduce<unknown>((object, name) => (typeof object === 'object' && object !== null ? (object as Record<string, unknown>)[name] : undefined), value);
}

/** A value as people read it. */
export function wordOf(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What was typed, to be read over: the name and the value of each setting that was not left empty. */
export const told = (group: SettingGroup | undefined, texts: Texts): [string, string][] =>
  settingsIn(group).flatMap(({ field, label, schema }): [string, string][] => {
    const text = texts[field] ?? '';
    const value = valueOf(schema, text);
    return value === undefined ? [] : [[label, isList(schema) ? text : wordOf(value)]];
  });

/** What the server has against a setting, also at a place within it. */
export function faultsAt(faults: Map<string, string[]>, field: string): string[] {
  return [...faults].filter(([name]) => name === field || name.startsWith(`${field}[`) || name.startsWith(`${field}.`)).flatMap(([, messages]) => messages);
}

/** What a schema asks of a value, in sentences. */
export function hintOf(schema: Schema): string {
  const { description, pattern, minimum, maximum, maxLength, minItems, maxItems } = schema;
  const list = isList(schema);
  return [
    description,
    list && 'Separated by commas.',
    !list && !plain.includes(schema.type ?? '') && !schema.enum && 'As JSON.',
    range(minimum, maximum, ''),
    maxLength !== undefined && `At most ${String(maxLength)} characters.`,
    range(minItems, maxItems, maxItems === undefined && minItems === 1 ? ' entry' : ' entries'),
    // A pattern is no sentence, but better than none.
    !description && (schema.items?.pattern ?? pattern) && `Must match ${schema.items?.pattern ?? pattern ?? ''}.`,
    schema.default !== undefined && !schema.enum && schema.type !== 'boolean' && `Left empty, it is ${textOf(schema, schema.default)}.`,
  ].filter(Boolean).join(' ');
}

function range(from: number | undefined, to: number | undefined, what: string): string {
  if (from !== undefined && to !== undefined) return `From ${String(from)} to ${String(to)}${what}.`;
  if (from !== undefined) return `At least ${String(from)}${what}.`;
  return to === undefined ? '' : `At most ${String(to)}${what}.`;
}
