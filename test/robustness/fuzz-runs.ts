/**
 * How often property tests run: `FUZZ_RUNS=100000` runs each property that often. `FUZZ_SEED` repeats a run; a failure
 * message has the seed.
 */
const { FUZZ_RUNS, FUZZ_SEED } = process.env
export const slow = { timeout: 3_600_000 }

/** Returns the parameters of a property test that usually has so many runs. */
export function runs(numRuns: number): { readonly numRuns: number; readonly seed?: number } {
  const seed = FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }
  return { numRuns: Number(FUZZ_RUNS ?? numRuns), ...seed }
}
