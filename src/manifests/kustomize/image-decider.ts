/** Decides single images outside of manifests, as a pod with that image would be decided. */
import { type PodContext, templateNamespace } from '../../decision/fallback/pod-context.ts'
import {
  type AdmissionPolicy,
  decideSites,
  type SiteDecision,
} from '../../decision/pod/decide-sites.ts'
import type { Decide } from '../../decision/resolve/decision-cache.ts'

export interface ImageDecider {
  /** Decides an image for the pods of a context, once. */
  decide(image: string, context: PodContext): Promise<SiteDecision | undefined>
  /** Returns a decision that was made; undefined if there is none. */
  decided(image: string, context: PodContext): SiteDecision | undefined
}

export function createImageDecider(
  decide: Decide,
  policy: AdmissionPolicy,
  signal: AbortSignal,
): ImageDecider {
  const made = new Map<string, SiteDecision | undefined>()
  const started = new Map<string, Promise<SiteDecision | undefined>>()
  const start = async (image: string, context: PodContext, key: string) => {
    const [decision] = await decideSites(decide, {
      request: {
        operation: 'CREATE',
        subResource: '',
        namespace: templateNamespace(context),
        object: { spec: { containers: [{ name: 'image', image }] } },
        oldObject: undefined,
      },
      policy: { ...policy, pullPolicy: [], pullSecrets: [] },
      pod: context,
      signal: () => signal,
    })
    made.set(key, decision)
    return decision
  }
  return {
    decide: (image, context) => {
      const key = keyOf(image, context)
      const decision = started.get(key) ?? start(image, context, key)
      started.set(key, decision)
      return decision
    },
    decided: (image, context) => made.get(keyOf(image, context)),
  }
}

function keyOf(image: string, context: PodContext): string {
  return JSON.stringify([image, context])
}
