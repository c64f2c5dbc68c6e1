/** Compares the times of functions. They run in turns, so that a busy machine slows all of them down. */
import type { NoiseGate } from './noise-gate.ts'

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
  readonly gate: NoiseGate
}

/** Returns microseconds per unit in each round, by name. The first round is a warm-up and is not counted. */
export async function timeInTurns(
  subjects: readonly Timed[],
  { rounds, sliceMs, gate }: TimingOptions,
): Promise<(name: string) => readonly number[]> {
  const round = async (look: () => void) => {
    const micros: number[] = []
    for (const subject of subjects) {
      micros.push(await slice(subject, sliceMs))
      look()
    }
    return micros
  }
  await round(() => undefined)
  const measured: number[][] = []
  for (let index = 0; index < rounds; index++) measured.push(await gate.round(round))
  const columns = new Map(
    subjects.map(({ name }, column) => [name, measured.map((micros) => micros[column] ?? NaN)]),
  )
  return (name) => columns.get(name) ?? []
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
