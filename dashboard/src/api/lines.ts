/**
 * Reads a stream line by line. A line may come in any number of chunks, cut
 * anywhere, even within a character. What follows the last newline is a cut-off
 * line and is dropped.
 */
export async function* textLines(stream: ReadableStream<Uint8Array>, onChunk?: () => void): AsyncGenerator<string> {
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
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Reads a stream of newline-separated JSON, one value at a time. */
export async function* jsonLines(stream: ReadableStream<Uint8Array>, onChunk?: () => void): AsyncGenerator<unknown> {
  for await (const line of textLines(stream, onChunk)) {
    if (line.trim()) yield JSON.parse(line) as unknown;
  }
}
