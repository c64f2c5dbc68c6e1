/** Says which pods belong to an owner in conflict with Berth, whose images stay unchanged (`conflicts: leave`). */

export interface ConflictOwners {
  /** Returns true if the controller found that the owner of a pod recreates its pods. False while the list is not known. */
  includes(pod: unknown, namespace: string): boolean
  /** Starts or stops following the list. To be called with each config. */
  follow(isOn: boolean): void
}

/** For a webhook without a cluster. */
export const noConflictOwners: ConflictOwners = {
  includes: () => false,
  follow: () => undefined,
}
