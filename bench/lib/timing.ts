/** Times functions against each other: in turns, so that what disturbs one disturbs all, and medians of the turns. */
import { median } from './numbers.ts'

export interface Timed {
  readonly name: string
  /** One call does this many of what is counted. */
  readonly per: number
  readonly run: () => void | Promise<void>
}

export interface TimingOptions {
  readonly rounds: number
  /** For each function in each round. */
  readonly sliceMs: number
}

/** Microseconds for one of what is counted, by name. The first round only warms up and is not counted. */
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
  // Twice unmeasured: answers that have left a cache since the last turn are in it again.
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
