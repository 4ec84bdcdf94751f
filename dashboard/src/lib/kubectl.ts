/** Quotes a word for a POSIX shell, where it needs it. */
export const shell = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);

/** The kubectl line that does what the page does. */
export function kubectl(namespace: string | undefined, ...words: string[]): string {
  const scope = namespace === undefined ? [] : namespace ? ['-n', namespace] : ['-A'];
  return ['kubectl', ...scope, ...words].map(shell).join(' ');
}
