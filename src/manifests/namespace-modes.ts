/** Reads from Namespace objects among the manifests what the webhook does with the pods of a namespace. */
import { excludedNamespaces } from '../config/copy-settings.ts'
import { member } from '../json/json.ts'
import { readManifests } from './manifests.ts'

/** `disabled`: the namespace opts out. `observe`: its pods are decided, but not changed. */
export type NamespaceMode = 'disabled' | 'observe'

export type NamespaceModes = ReadonlyMap<string, NamespaceMode>

/** Returns the modes of the namespaces that the texts label. */
export function readNamespaceModes(texts: readonly string[]): NamespaceModes {
  const modes = new Map<string, NamespaceMode>()
  for (const text of texts) {
    // Few files have one of the labels, and parsing takes most of the time.
    if (!text.includes('berth.dev/rewrite') && !text.includes('berth.dev/mode')) continue
    const read = readManifests(text)
    if (!read.ok) continue
    for (const { value } of read.manifests.objects) {
      const metadata = member(value, 'metadata')
      const name = member(metadata, 'name')
      const mode = modeOf(member(metadata, 'labels'))
      const isNamespace =
        member(value, 'apiVersion') === 'v1' && member(value, 'kind') === 'Namespace'
      if (isNamespace && typeof name === 'string' && mode !== null) modes.set(name, mode)
    }
  }
  return modes
}

function modeOf(labels: unknown): NamespaceMode | null {
  if (member(labels, 'berth.dev/rewrite') === 'disabled') return 'disabled'
  return member(labels, 'berth.dev/mode') === 'observe' ? 'observe' : null
}

/** Returns why the pods of a namespace are left unchanged; null if they are rewritten. */
export function whyLeft(modes: NamespaceModes, namespace: string): string | null {
  if (modes.get(namespace) !== 'disabled') return null
  return `left unchanged, because namespace ${namespace} has the label berth.dev/rewrite: disabled`
}

/** Returns a note for pods that are rewritten, but that the webhook would not change; null for all others. */
export function unlikeWebhook(modes: NamespaceModes, namespace: string): string | null {
  if (excludedNamespaces.has(namespace))
    return `rewritten, but the webhook excludes namespace ${namespace}: it does not change these pods`
  if (modes.get(namespace) !== 'observe') return null
  return `rewritten, but namespace ${namespace} has the label berth.dev/mode: observe: the webhook does not change these pods`
}
