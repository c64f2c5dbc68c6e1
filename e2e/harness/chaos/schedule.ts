/** Which faults happen in which order. The same seed gives the same steps. */
import { randomInt } from 'node:crypto'
import fc from 'fast-check'

/** The faults that happen at the same time, and a number that selects the process that they hit. */
export type Step = { faults: readonly string[]; victim: number }

/** Returns BERTH_CHAOS_SEED, or a new seed. */
export function chooseSeed(): number {
  const { BERTH_CHAOS_SEED: seed } = process.env
  return seed === undefined ? randomInt(2 ** 31) : Number(seed)
}

/** Returns each fault once, alone, in an order of the seed. */
export function eachFaultOnce(faults: readonly string[], seed: number): Step[] {
  const order = fc.shuffledSubarray([...faults], { minLength: faults.length })
  const numbers = fc.array(victim, { minLength: faults.length, maxLength: faults.length })
  const [[names, victims] = [[], []]] = fc.sample(fc.tuple(order, numbers), { seed, numRuns: 1 })
  return names.map((name, index) => ({ faults: [name], victim: victims[index] ?? 0 }))
}

/** Returns `count` steps of one or two faults. Two faults that disturb the same do not happen at the same time. */
export function randomSteps(
  faults: readonly { name: string; disturbs: readonly string[] }[],
  { seed, count }: { seed: number; count: number },
): Step[] {
  const some = fc.array(fc.constantFrom(...faults), { minLength: 1, maxLength: 2 })
  const compatible = some.filter((chosen) => {
    const disturbed = chosen.flatMap(({ disturbs }) => disturbs)
    return new Set(disturbed).size === disturbed.length
  })
  return fc
    .sample(fc.record({ chosen: compatible, victim }), { seed, numRuns: count })
    .map((step) => ({ faults: step.chosen.map(({ name }) => name), victim: step.victim }))
}

const victim = fc.nat({ max: 1_000 })
