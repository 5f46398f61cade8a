/** The value that this share of all values does not exceed; 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.floor(share * sorted.length));
  const value = sorted[index];
  if (value === undefined) {
    throw new Error('There is nothing to take a quantile of.');
  }
  return value;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
