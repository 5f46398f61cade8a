/** Looks again with every timer that the browser grants. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadline) {
      throw new Error(`This has not come in a minute: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
}
