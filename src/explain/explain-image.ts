/** Explains the decision for one image, by the functions that the webhook uses. */
import type { Config } from '../config/config.ts'
import { type PodOptionNames, undecidedParts } from '../config/undecided.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { imagesToPull, missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import { parseName } from '../decision/reference/parse-name.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import { isDenied } from '../decision/resolve/resolution.ts'
import { resolve, resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import { ProxyError } from '../proxy/proxy-error.ts'
import { proxyRulesOf, type ProxyRules } from '../proxy/proxy-rules.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import { explainedImage, type Explanation, invalidImage } from './explanation.ts'

export interface ExplainDependencies {
  readonly config: Config
  /** Null to ask no registry. */
  readonly resolve: ResolveDependencies | null
  /** Milliseconds for one image. */
  readonly timeoutMs: number
  /** The proxies of the environment. */
  readonly proxyRules: ProxyRules
  /** The name of each part of the pod in messages, such as the option that sets it. */
  readonly partNames: PodOptionNames
}

export interface ExplainResult {
  readonly explanation: Explanation
  /** Whether a rule of the config denies the image. */
  readonly isDenied: boolean
}

/** Explains an image of a pod. Failures of registries and names that do not parse are results. */
export async function explainImage(
  { config, resolve: dependencies, timeoutMs, proxyRules, partNames }: ExplainDependencies,
  pod: PodContext,
  image: string,
): Promise<ExplainResult> {
  const parsed = parseName(image)
  if (!parsed.ok) return { explanation: invalidImage(image, parsed), isDenied: false }
  const request = { reference: parsed.reference, pod }
  const resolution =
    dependencies === null
      ? resolveWithoutProbing(config, request)
      : await resolve(dependencies, config, { ...request, signal: AbortSignal.timeout(timeoutMs) })
  const explanation = explainedImage(image, resolution, {
    hasController: pod.owners === null ? null : pod.owners.length > 0,
    pullSecrets: missingPullSecrets(config.pullSecrets, {
      context: pod,
      pod: {},
      images: imagesToPull([resolution]),
    }),
    undecided: undecidedParts(config, { pod, resolution }, partNames),
    hosts: [...config.registries.keys()],
    proxyOf: (host) => proxyNameOf(config.registries.get(host), proxyRules),
  })
  return { explanation, isDenied: isDenied(resolution) }
}

/** Null also if a variable does not name a usable proxy: the detail of the candidate says so. */
function proxyNameOf(registry: RegistrySettings | undefined, rules: ProxyRules): string | null {
  if (registry === undefined) return null
  try {
    return proxyRulesOf(registry.proxy, rules)(registry.endpoint)?.name ?? null
  } catch (error) {
    if (error instanceof ProxyError) return null
    throw error
  }
}
