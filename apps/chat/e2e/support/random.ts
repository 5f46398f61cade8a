/** Random numbers below 1 that come again with the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed that the environment names, or a new one; it is printed, so that a run can be repeated. */
export function seedOf(test: string): number {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${test}: SEED=${String(seed)}`);
  return seed;
}

/** Words without any meaning to Markdown, which are easily told apart. */
export function words(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `word${String(index)} `);
}
