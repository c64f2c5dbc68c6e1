/**
 * Propagation: pull secrets copied to namespaces, and linked to service accounts. This room reads objects and plans
 * writes; it does no input or output, and logs nothing. Words: a *source* secret consents and is copied, a *copy* is ours.
 */

/** Consent to be copied, a label of the source; another value, or none, is a no. */
export const consentLabel = 'berth.dev/copy'
export const consentValue = 'allowed'

/** On a namespace: nothing is copied there, and what was copied goes. */
export const optOutLabel = 'berth.dev/pull-secrets'
export const optOutValue = 'disabled'

/** Together on each copy, and what watches select by. */
export const managedByLabel = 'app.kubernetes.io/managed-by'
export const managedBy = 'berth'
export const copyLabel = 'berth.dev/copied'

/** Where a copy is from: `namespace/name` of each source, comma-separated, and their UIDs in the same order. */
export const sourceAnnotation = 'berth.dev/copied-from'
export const sourceUidAnnotation = 'berth.dev/source-uid'
export const contentAnnotation = 'berth.dev/content-hash'
/** When its content was written, RFC 3339. */
export const writtenAnnotation = 'berth.dev/written-at'
/** Passed on from a source whose credentials end. */
export const expiresAnnotation = 'berth.dev/expires-at'

/** On a service account: which names of its list are ours, comma-separated. Only these are ever taken away. */
export const linkedAnnotation = 'berth.dev/linked-pull-secrets'
