/** Texts that are remembered; more different mistakes than this are told again. */
const REMEMBERED_MAX = 100;

const told = new Set<string>();

/** Tells a programmer's mistake to the console: once, although React runs effects again and again. */
export function complain(problem: unknown): void {
  const text = problem instanceof Error ? problem.message : String(problem);
  if (told.has(text)) {
    return;
  }
  if (told.size === REMEMBERED_MAX) {
    told.clear();
  }
  told.add(text);
  console.error(problem);
}
