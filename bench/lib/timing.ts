/** Compares the times of functions. They run in turns, so that a busy machine slows all of them down; results are medians. */
import { median } from './numbers.ts'

export interface Timed {
  readonly name: string
  /** The number of units that one call does. */
  readonly per: number
  readonly run: () => void | Promise<void>
}

export interface TimingOptions {
  readonly rounds: number
  /** Measuring time of each function in each round. */
  readonly sliceMs: number
}

/** Returns microseconds per unit, by name. The first round is a warm-up and is not counted. */
export async function timeInTurns(
  subjects: readonly Timed[],
  { rounds, sliceMs }: TimingOptions,
): Promise<Map<string, number>> {
  const samples = new Map<string, number[]>(subjects.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const subject of subjects) {
      const micros = await slice(subject, sliceMs)
      if (round > 0) samples.get(subject.name)?.push(micros)
    }
  }
  return new Map([...samples].map(([name, values]) => [name, median(values)]))
}

async function slice({ run, per }: Timed, sliceMs: number): Promise<number> {
  // Two calls without measuring refill caches whose entries expired since the last turn.
  for (let warm = 0; warm < 2; warm++) await run()
  const started = performance.now()
  let calls = 0
  let elapsed = 0
  while (elapsed < sliceMs) {
    await run()
    calls++
    elapsed = performance.now() - started
  }
  return (elapsed * 1000) / (calls * per)
}
