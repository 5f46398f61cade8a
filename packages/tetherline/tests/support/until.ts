// Taken before any test replaces them.
const { setTimeout } = globalThis;
const now = performance.now.bind(performance);

/** Waits for a condition, and says which one if it does not come. */
export async function until<T>(
  condition: () => T | undefined | null | false,
  what: string,
): Promise<T> {
  const deadline = now() + 10_000;
  for (;;) {
    const value = condition();
    if (value !== undefined && value !== null && value !== false) {
      return value;
    }
    if (now() > deadline) {
      throw new Error(`Waited in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
