/**
 * Repeats rounds of a benchmark that other programs disturbed. Before, during and after each round it times a fixed piece of
 * work: if that takes much longer than at best, something else used the processor.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { progress } from './report.ts'

export interface NoiseGateOptions {
  /** Returns the time of a fixed piece of work, in any unit. */
  readonly probe?: () => number
  /** A round is disturbed if the probe takes longer than its shortest time, by more than this share of it. */
  readonly tolerance?: number
  /** How many rounds of the whole run may be repeated. A busy machine would otherwise never finish. */
  readonly maxRepeats?: number
  /** The pause before a repetition, in milliseconds. */
  readonly pauseMs?: number
  /** Called before each repetition. */
  readonly report?: (message: string) => void
}

export interface NoiseGate {
  /**
   * Runs a round, and again while it is disturbed. Returns the result of the least disturbed one. `look` runs the probe once
   * more, between two measurements of the round.
   */
  round<Result>(run: (look: () => void) => Promise<Result>): Promise<Result>
  counts(): NoiseCounts
}

export interface NoiseCounts {
  readonly rounds: number
  readonly repeated: number
  /** Rounds that stayed disturbed. */
  readonly disturbed: number
}

/** Frequency scaling and timer interrupts alone change the probe by less. */
const defaultTolerance = 0.3

/** A disturbance that lasts longer does not end soon, so the next rounds need the repetitions more. */
const maxRepeatsOfRound = 2

const calibrations = 20

/** Creates the gate of one run. It first runs the probe a few times, to know its shortest time. */
export function createNoiseGate({
  probe = probeProcessor,
  tolerance = defaultTolerance,
  maxRepeats = 10,
  pauseMs = 1_000,
  report = progress,
}: NoiseGateOptions = {}): NoiseGate {
  let shortest = Infinity
  let [rounds, repeated, disturbed] = [0, 0, 0]
  const timeOfProbe = () => {
    const time = probe()
    shortest = Math.min(shortest, time)
    return time
  }
  for (let index = 0; index < calibrations; index++) timeOfProbe()

  return {
    async round(run) {
      rounds++
      let best = await attempt(run)
      for (let repeats = 0; isDisturbed(best.noise); repeats++) {
        if (repeats === maxRepeatsOfRound || repeated === maxRepeats) {
          disturbed++
          break
        }
        repeated++
        report('disturbed by other programs; again')
        await sleep(pauseMs)
        const next = await attempt(run)
        if (next.noise < best.noise) best = next
      }
      return best.result
    },
    counts: () => ({ rounds, repeated, disturbed }),
  }

  async function attempt<Result>(run: (look: () => void) => Promise<Result>) {
    const times: number[] = []
    const look = () => void times.push(timeOfProbe())
    look()
    const result = await run(look)
    look()
    return { result, noise: Math.max(...times) }
  }

  function isDisturbed(noise: number): boolean {
    return noise > shortest * (1 + tolerance)
  }
}

const probeBytes = Buffer.alloc(2 ** 22, 'x')

/** Hashes 4 MiB, which takes some milliseconds. Returns the milliseconds that passed, also while another program ran. */
function probeProcessor(): number {
  const started = performance.now()
  createHash('sha256').update(probeBytes).digest()
  return performance.now() - started
}
