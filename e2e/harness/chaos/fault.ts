/** One kind of fault. */
import type { Site } from './site.ts'

export type Fault = {
  name: string
  /** What it disturbs. Two faults with the same subject do not happen at the same time. */
  subject:
    'webhook' | 'controller' | 'mirror' | 'network' | 'logs' | 'config' | 'certificate' | 'clock'
  /** Begins the fault and returns when it is in effect. */
  begin(site: Site, victim: number): Promise<OngoingFault>
}

export type OngoingFault = {
  /** What was hit, for the log. */
  target: string
  /** Undoes the fault. */
  readonly end: () => Promise<void>
  /** Waits for what is particular to this fault. The runner waits until the replicas are ready and use the mirror. */
  readonly recovered?: () => Promise<void>
}
