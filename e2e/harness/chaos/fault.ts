/** One kind of fault. */
import type { Site } from './site.ts'

type Subject =
  'webhook' | 'controller' | 'mirror' | 'network' | 'logs' | 'config' | 'certificate' | 'clock'

export type Fault = {
  name: string
  /** Two faults that disturb the same do not happen at the same time. */
  disturbs: readonly Subject[]
  /** Begins the fault. */
  begin(site: Site, victim: number): Promise<OngoingFault>
}

export type OngoingFault = {
  /** What was hit, for the log. */
  target: string
  /** Waits until the fault shows. */
  readonly inEffect?: () => Promise<void>
  /** Undoes the fault. */
  readonly end: () => Promise<void>
  /** Waits for what is particular to this fault. The runner waits until the replicas are ready and use the mirror. */
  readonly recovered?: () => Promise<void>
}
