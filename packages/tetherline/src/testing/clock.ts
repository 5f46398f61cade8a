/** What `vi.useFakeTimers()` and `jest.useFakeTimers()` leave behind: both are built on it. */
interface InstalledClock {
  tickAsync(ms: number): Promise<unknown>;
}

/** Turns of the microtask queue that settle whatever the client and the server do at once. */
const SETTLING_TURNS = 200;

/** How far `until` moves at a time, and how far in all, in ms. */
const STEP_MS = 50;
const LONGEST_WAIT_MS = 600_000;

/** The time of a test: the client's, the fake server's and, under React, the components'. */
export interface VirtualClock {
  /**
   * Lets this much time pass, and everything happen that falls into it. Needs
   * `vi.useFakeTimers()` or `jest.useFakeTimers()` before the client signs in.
   */
  advance: (ms: number) => Promise<void>;
  /** Lets time pass until a condition holds, for at most ten minutes. */
  until: (condition: () => boolean) => Promise<void>;
}

export const virtualClock: VirtualClock = { advance, until };

async function advance(ms: number): Promise<void> {
  await installed().tickAsync(ms);
  await settled();
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += STEP_MS) {
    if (waited >= LONGEST_WAIT_MS) {
      throw new Error('Tetherline: ten virtual minutes have passed, and it has not come true.');
    }
    await advance(STEP_MS);
  }
}

/** Waits for everything that needs no time. Works with timers of any kind. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < SETTLING_TURNS; turn++) {
    await Promise.resolve();
  }
}

function installed(): InstalledClock {
  const { clock } = globalThis.setTimeout as { clock?: InstalledClock };
  if (!clock) {
    throw new Error(
      'Tetherline: time is real here; call vi.useFakeTimers() or jest.useFakeTimers() first.',
    );
  }
  return clock;
}
