const plain = /^[A-Za-z_/][\w./@+-]*( [\w./@+-]+)*$/;
const special = /^(true|false|yes|no|on|off|y|n|null|nan|inf)$/i;

/** Writes a value of JSON as YAML that any YAML reader takes back as the same value. */
export function toYaml(value: unknown): string {
  return isEmpty(value) ? `${flow(value)}\n` : block(value, '');
}

function block(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value.map((item) => `${indent}- ${nested(item, `${indent}  `, true)}`).join('');
  }
  return Object.entries(value as Record<string, unknown>)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${indent}${scalar(key)}:${nested(member, `${indent}  `, false)}`)
    .join('');
}

function nested(value: unknown, indent: string, inList: boolean): string {
  if (isEmpty(value)) return `${inList ? '' : ' '}${flow(value)}\n`;
  // The first line of a block in a list stands right behind the dash.
  return inList ? block(value, indent).slice(indent.length) : `\n${block(value, indent)}`;
}

const isEmpty = (value: unknown) => typeof value !== 'object' || value === null || Object.values(value).every((member) => member === undefined);

function flow(value: unknown): string {
  if (typeof value === 'string') return scalar(value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[]' : '{}';
  return JSON.stringify(value ?? null);
}

// A JSON string is a YAML string, so all that might be read as something else is
// written as JSON.
const scalar = (text: string) => (plain.test(text) && !special.test(text) ? text : JSON.stringify(text));
