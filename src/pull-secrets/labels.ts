/**
 * Labels and annotations that Berth reads and writes for copies of pull secrets. A source secret is copied to namespaces;
 * a copy is the secret that Berth writes there and links to service accounts.
 */

/** On a secret with the name of a copy that Berth did not write: allows Berth to overwrite it and to treat it as its copy. */
export const adoptLabel = 'berth.dev/adopt'
export const adoptValue = 'allowed'

/** On a source: allows Berth to copy it. Any other value, or none, does not. */
export const consentLabel = 'berth.dev/copy'
export const consentValue = 'allowed'

/** On a namespace: Berth copies nothing to it and deletes its copies. */
export const optOutLabel = 'berth.dev/pull-secrets'
export const optOutValue = 'disabled'

/** On each copy, both of them: watches select copies by these labels. */
export const managedByLabel = 'app.kubernetes.io/managed-by'
export const managedBy = 'berth'
export const copyLabel = 'berth.dev/copied'

/** On a copy: `namespace/name` of each source, comma-separated, and their UIDs in the same order. */
export const sourceAnnotation = 'berth.dev/copied-from'
export const sourceUidAnnotation = 'berth.dev/source-uid'
export const contentAnnotation = 'berth.dev/content-hash'
/** On a copy: when its content was written, RFC 3339. */
export const writtenAnnotation = 'berth.dev/written-at'
/** When the credentials expire, RFC 3339. A copy gets it from its source. */
export const expiresAnnotation = 'berth.dev/expires-at'

/** On a service account: the names in `imagePullSecrets` that Berth added, comma-separated. Berth removes only these. */
export const linkedAnnotation = 'berth.dev/linked-pull-secrets'
