/** Quotes a word for a POSIX shell, where it needs it. */
export const shell = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);

/**
 * The kubectl line that does what the page does. The namespace comes last: kubectl
 * finds a plugin only by the words that stand first.
 */
export function kubectl(namespace: string | undefined, ...words: string[]): string {
  const scope = namespace === undefined ? [] : namespace ? ['-n', namespace] : ['-A'];
  return ['kubectl', ...words, ...scope].map(shell).join(' ');
}
