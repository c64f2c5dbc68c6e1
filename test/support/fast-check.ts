/**
 * fast-check for the tests. `npm test` repeats the same generated cases each time, so that it does not fail by chance.
 * `FUZZ_RUNS=100000` searches for new failures: it runs each property that often, with a new seed. A failure message has the
 * seed, and `FUZZ_SEED` repeats it.
 */
import fc from 'fast-check'

const { FUZZ_RUNS, FUZZ_SEED } = process.env
const seed = FUZZ_SEED ?? (FUZZ_RUNS === undefined ? 1_729 : undefined)

fc.configureGlobal({
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(FUZZ_RUNS === undefined ? {} : { numRuns: Number(FUZZ_RUNS) }),
})

export { fc }

/** The time limit of a property test. A search may take an hour. */
export const slow = { timeout: 3_600_000 }

/** Returns the parameters of a property test that usually has so many runs. */
export function runs(numRuns: number): { readonly numRuns: number } {
  return { numRuns: Number(FUZZ_RUNS ?? numRuns) }
}
