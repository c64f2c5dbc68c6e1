/** Admits pods by the text of a config, with registries that answer from a list. */
import { createLane } from '../../src/async/lane.ts'
import type { Config } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/load.ts'
import { readRecords } from '../../src/decision/pod/images-annotation.ts'
import { applyPatch } from '../../src/decision/pod/patch.ts'
import { findSites } from '../../src/decision/pod/sites.ts'
import { createDecideByRow } from '../../src/decision/resolve/decide-by-row.ts'
import { hasDenial } from '../../src/decision/resolve/resolve-policy.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import type { AdmissionRequest } from '../../src/webhook/admission/admission-review.ts'
import { createAdmit, type RevisionDependencies } from '../../src/webhook/admission/admit.ts'
import { noNamespaceLookup } from '../../src/webhook/admission/namespace-lookup.ts'
import type { Registries } from './manifest-answers.ts'

/** Returns the config; throws with its problems. `text` has the keys after `kind`. */
export function configOf(text: string): Config {
  const result = readConfig(`apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n${text}`, '.')
  if (result.ok) return result.config
  throw new Error(result.problems.map(({ message }) => message).join('\n'))
}

/** Returns a function that admits requests, with caches, as the webhook does. Throws if admission has a bug. */
export function admitWith(
  config: Config,
  { dependencies }: Registries,
  revisions?: RevisionDependencies,
) {
  const engine = {
    policy: config,
    decide: createDecide(dependencies, config),
    decideByRow: createDecideByRow(dependencies, config),
    hasDenial: hasDenial(config),
  }
  const admit = createAdmit({
    currentEngine: () => engine,
    namespaceLookup: noNamespaceLookup,
    revisions,
    lane: createLane(),
    onBug: (error) => {
      throw error
    },
  })
  return async (request: AdmissionRequest) => {
    const { signal } = new AbortController()
    const { verdict } = await admit(request, { signal: () => signal, observeOnly: false })
    const after = applyPatch(request.object, verdict.patch)
    return {
      ...verdict,
      after,
      images: findSites(after).map(({ image }) => image),
      records: [...readRecords(after).values()],
    }
  }
}
