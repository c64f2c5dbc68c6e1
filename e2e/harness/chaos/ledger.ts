/** What the stream of pods met: which creations failed and why they may, and which pods Berth has not processed. */
import type { Pod } from '../pods.ts'
import type { StreamCount } from '../pod-stream.ts'

/** A time in which a process of Berth could not answer; `performance.now()`. It is open until `close`. */
export type Outage = { fault: string; from: number; until: number; close(): void }

/** `lastMs`: when the last failure came, after the begin of the outage; 0 if there was none. */
export type OutageResult = { fault: string; count: number; lastMs: number }

export type Ledger = {
  /** Call it for each pod as the API server created it. */
  onCreated: (pod: Pod) => void
  /** Begins an outage of one process. Creations that overlap it may fail, if `failurePolicy` is `Fail`. */
  beginOutage(fault: string): Outage
  /** Returns the last pods, each as the image and the row of the table that decided it; `null` for an unprocessed pod. */
  last(count: number): ({ image: string; row: string } | null)[]
  unprocessed: () => number
  /** The failures that no outage explains. */
  unexplained(failures: StreamCount['failures']): StreamCount['failures']
  /** Returns how many of the failures each outage explains. */
  outages(failures: StreamCount['failures']): OutageResult[]
  /** Names of pods whose JSON contains a secret, and images that the table does not have. */
  problems: string[]
}

const annotation = 'berth.dev/images'

/** The API server's other parts learn of a changed endpoint after the test has: two relists of its informers at most. */
const settleMs = 5_000

/** Returns an empty ledger. `images` are all images that the table can give to a pod of the stream. */
export function createLedger(
  images: ReadonlySet<string>,
  hasSecret: (text: string) => boolean,
): Ledger {
  const pods: ({ image: string; row: string } | null)[] = []
  const outages: Outage[] = []
  const problems: string[] = []
  let unprocessed = 0
  const overlaps = ({ from, at }: { from: number; at: number }, outage: Outage) =>
    at >= outage.from && from <= outage.until
  return {
    problems,
    onCreated(pod) {
      const { metadata, spec } = pod
      const image = spec.containers[0]?.image ?? ''
      const text = metadata.annotations?.[annotation]
      if (text === undefined) unprocessed += 1
      const [record] = text === undefined ? [] : (JSON.parse(text) as { row: string }[])
      pods.push(record === undefined ? null : { image, row: record.row })
      if (pods.length > 1_000) pods.splice(0, 500)
      if (!images.has(image)) problems.push(`${metadata.name} got the image ${image}`)
      if (hasSecret(JSON.stringify(pod))) problems.push(`${metadata.name} contains a secret`)
    },
    beginOutage(fault) {
      const outage: Outage = {
        fault,
        from: performance.now(),
        until: Infinity,
        close: () => (outage.until = performance.now() + settleMs),
      }
      outages.push(outage)
      return outage
    },
    last: (count) => pods.slice(-count),
    unprocessed: () => unprocessed,
    unexplained: (failures) =>
      failures.filter((failure) => !outages.some((outage) => overlaps(failure, outage))),
    outages: (failures) =>
      outages.map((outage) => {
        const during = failures.filter((failure) => overlaps(failure, outage))
        const lastMs = Math.max(0, ...during.map(({ at }) => at - outage.from))
        return { fault: outage.fault, count: during.length, lastMs: Math.round(lastMs) }
      }),
  }
}
