/** Does what a plan of `berth diagnose --fix` says, one write at a time. Nothing is replaced, and no pod is deleted. */
import { setTimeout as sleep } from 'node:timers/promises'
import { pullFailures } from '../pull-failure.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus, KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { expiresAnnotation, sourceAnnotation } from '../../pull-secrets/labels.ts'
import { contentOf, keyOf, type StoredSecret } from './plan.ts'
import type { FixPlan, FixStep, StepReport } from './steps.ts'

type Account = KubeObject & { readonly imagePullSecrets?: readonly { readonly name?: string }[] }
type StepOf<Kind> = Extract<FixStep, { readonly do: Kind }>

/** Somebody else writes the same account all the time: with a few milliseconds between reading and writing, ten tries are plenty. */
const linkTries = 10

/** The API server makes pods with a list of accounts that follows the stored one (plugin/pkg/admission/serviceaccount, an informer). */
const accountsSettleMs = 1_000

export interface FixOptions {
  /** Told of each step when it has ended. */
  readonly onReport: (report: StepReport) => void
  readonly signal: AbortSignal
  readonly settleMs?: number
}

/** A step that fails is in its report, and what needs it is skipped; the others go on. */
export async function executeFix(
  api: KubeApi,
  { steps }: FixPlan,
  { onReport, signal, settleMs = accountsSettleMs }: FixOptions,
): Promise<StepReport[]> {
  const reports = new Map<string, StepReport>()
  let linkedAt = -Infinity
  for (const { step, needs } of steps) {
    const lacks = needs.find((need) => isUndone(reports.get(keyOf(need))))
    if (lacks === undefined && step.do === 'recreate')
      await sleep(Math.max(0, linkedAt + settleMs - performance.now()), undefined, { signal })
    const report = lacks === undefined ? await attempt(api, step) : skipped(step)
    if (step.do === 'link' && report.outcome === 'done') linkedAt = performance.now()
    reports.set(keyOf(step), report)
    onReport(report)
    signal.throwIfAborted()
  }
  return [...reports.values()]
}

function isUndone(report: StepReport | undefined): boolean {
  return report === undefined || report.outcome === 'failed' || report.outcome === 'skipped'
}

function skipped(step: FixStep): StepReport {
  return { step, outcome: 'skipped', problem: 'what it needs was not done' }
}

async function attempt(api: KubeApi, step: FixStep): Promise<StepReport> {
  try {
    const changed = await perform(api, step)
    return { step, outcome: changed ? 'done' : 'unneeded', problem: null }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const problem =
      step.do === 'recreate' && hasStatus(error, 429)
        ? `${error.message}; run the command again later`
        : error.message
    return { step, outcome: 'failed', problem }
  }
}

/** False when there was nothing to do by now. Throws KubeError. */
function perform(api: KubeApi, step: FixStep): Promise<boolean> {
  if (step.do === 'copy') return copy(api, step)
  return step.do === 'link' ? link(api, step) : recreate(api, step)
}

/** Creates, and never writes over what is there. A copy is nobody's to keep: it has no label by which a controller would. */
async function copy(
  api: KubeApi,
  { namespace, secret: name, from }: StepOf<'copy'>,
): Promise<boolean> {
  const secrets = { apiVersion: 'v1', resource: 'secrets', namespace }
  const { type = '', data = {} } = from.secret
  const only = type === 'kubernetes.io/dockercfg' ? '.dockercfg' : '.dockerconfigjson'
  const ends = from.expiresAt === null ? {} : { [expiresAnnotation]: from.expiresAt }
  try {
    await api.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace,
        annotations: { [sourceAnnotation]: `${from.namespace}/${from.name}`, ...ends },
      },
      type,
      data: { [only]: data[only] ?? '' },
    })
    return true
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
    const there = await api.get<StoredSecret>({ ...secrets, name })
    if (there !== null && contentOf(there) === contentOf(from.secret)) return false
    throw error
  }
}

/** Appends: the list is atomic to every patch but this, and what others put there must stay. */
async function link(
  api: KubeApi,
  { namespace, account, secret }: StepOf<'link'>,
): Promise<boolean> {
  const where = { apiVersion: 'v1', resource: 'serviceaccounts', namespace, name: account }
  for (let tries = 1; ; tries++) {
    const now = await api.get<Account>(where)
    if (now === null) throw new KubeError(404, 'NotFound', `there is no ${account} in ${namespace}`)
    const list = now.imagePullSecrets
    if (list?.some(({ name }) => name === secret) === true) return false
    const { uid, resourceVersion } = now.metadata
    const entry = { name: secret }
    try {
      await api.patch(where, 'json', [
        { op: 'test', path: '/metadata/uid', value: uid },
        { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
        list === undefined
          ? { op: 'add', path: '/imagePullSecrets', value: [entry] }
          : { op: 'add', path: '/imagePullSecrets/-', value: entry },
      ])
      return true
    } catch (error) {
      // 422: a `test` of the patch does not hold. 409: it did not hold any more when it was stored.
      if (!hasStatus(error, 409, 422) || tries === linkTries) throw error
    }
  }
}

/** Through the API that honours disruption budgets; only this very pod, and only while its image does not come. */
async function recreate(
  api: KubeApi,
  { namespace, pod: name, uid }: StepOf<'recreate'>,
): Promise<boolean> {
  const where = { apiVersion: 'v1', resource: 'pods', namespace, name }
  const now = await api.get<KubeObject>(where)
  if (now === null || now.metadata.uid !== uid || pullFailures(now, []).length === 0) return false
  try {
    await api.create(
      { ...where, subresource: 'eviction' },
      {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name, namespace },
        deleteOptions: { preconditions: { uid } },
      },
    )
    return true
  } catch (error) {
    // Gone, or another one already.
    if (hasStatus(error, 404, 409)) return false
    throw error
  }
}
