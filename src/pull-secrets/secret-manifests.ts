/** Builds the manifest of a new copy and the patch of an existing one. */
import type { ValidContent } from './content.ts'
import type { SecretWrite } from './plan.ts'
import {
  contentAnnotation,
  copyLabel,
  expiresAnnotation,
  managedBy,
  managedByLabel,
  sourceAnnotation,
  sourceUidAnnotation,
  writtenAnnotation,
} from './labels.ts'

/** Returns the Secret to create. */
export function copyManifest(
  { copy: name, content }: SecretWrite & { kind: 'create' | 'replace' },
  namespace: string,
  now: Date,
): object {
  const { annotations, labels } = copyMetadata(content, now)
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels,
      annotations: Object.fromEntries(
        Object.entries(annotations).filter(([, value]) => value !== null),
      ),
    },
    type: content.type,
    data: { [content.member]: content.data },
  }
}

/**
 * Returns a merge patch that the API server rejects with 409 unless the copy is the one that was read. Labels and annotations
 * of others stay. Data that is right stays too, with the time when it was written.
 */
export function copyPatch(
  { content, was, hasSameData, surplus, surplusAnnotations }: SecretWrite & { kind: 'update' },
  now: Date,
): object {
  const { uid, resourceVersion } = was
  const { labels, annotations } = copyMetadata(content, now)
  const { [writtenAnnotation]: writtenAt, ...others } = annotations
  const metadata = {
    uid,
    resourceVersion,
    labels,
    annotations: {
      ...Object.fromEntries(surplusAnnotations.map((key) => [key, null])),
      ...(hasSameData ? others : { ...others, [writtenAnnotation]: writtenAt }),
    },
  }
  if (hasSameData) return { metadata }
  return {
    metadata,
    data: {
      [content.member]: content.data,
      ...Object.fromEntries(surplus.map((member) => [member, null])),
    },
  }
}

/** A null annotation is left out of a new copy and removed from an existing one. */
function copyMetadata(
  { from, uids, hash, expiresAt }: ValidContent,
  now: Date,
): {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string | null>>
} {
  return {
    labels: { [managedByLabel]: managedBy, [copyLabel]: 'true' },
    annotations: {
      [sourceAnnotation]: from.join(','),
      [sourceUidAnnotation]: uids.join(','),
      [contentAnnotation]: hash,
      [expiresAnnotation]: expiresAt,
      [writtenAnnotation]: now.toISOString(),
    },
  }
}
