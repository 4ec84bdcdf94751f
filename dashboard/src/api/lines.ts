/**
 * Reads a stream of newline-separated JSON, one value at a time. A value may come
 * in any number of chunks, cut anywhere, even within a character. What follows
 * the last newline is a cut-off value and is dropped.
 */
export async function* jsonLines(stream: ReadableStream<Uint8Array>, onChunk?: () => void): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onChunk?.();
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.trim()) yield JSON.parse(line) as unknown;
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
