/** Executes a plan of `berth diagnose --fix`, one write at a time. It replaces nothing and deletes no pod. */
import { setTimeout as sleep } from 'node:timers/promises'
import { pullFailures } from '../pull-failure.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus, KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { expiresAnnotation, sourceAnnotation } from '../../pull-secrets/labels.ts'
import { hasSameContent, type StoredSecret } from './copy-source.ts'
import { type FixPlan, type FixStep, stepKey, type StepOf, type StepReport } from './steps.ts'

type Account = KubeObject & { readonly imagePullSecrets?: readonly { readonly name?: string }[] }

/** Attempts to link a secret. Even if another writer updates the account all the time, one of ten attempts fits between two updates. */
const linkAttempts = 10

/** The API server creates pods with service accounts from an informer, which follows the stored ones (plugin/pkg/admission/serviceaccount). */
const accountsSettleMs = 1_000

export interface FixOptions {
  /** Called when a step has ended. */
  readonly onReport: (report: StepReport) => void
  readonly signal: AbortSignal
  /** Milliseconds from the last link to the first eviction. */
  readonly settleMs?: number
}

/** Executes the steps. A failed step is in its report; steps that need it are skipped, and the others run. */
export async function executeFix(
  api: KubeApi,
  { steps }: FixPlan,
  { onReport, signal, settleMs = accountsSettleMs }: FixOptions,
): Promise<StepReport[]> {
  const reports = new Map<string, StepReport>()
  let linkedAt = -Infinity
  for (const { step, needs } of steps) {
    const canRun = needs.every((need) => isReached(reports.get(stepKey(need))))
    if (canRun && step.do === 'recreate')
      await sleep(Math.max(0, linkedAt + settleMs - performance.now()), undefined, { signal })
    const report = canRun ? await attempt(api, step) : skipped(step)
    if (step.do === 'link' && report.outcome === 'done') linkedAt = performance.now()
    reports.set(stepKey(step), report)
    onReport(report)
    signal.throwIfAborted()
  }
  return [...reports.values()]
}

function isReached(report: StepReport | undefined): boolean {
  return report?.outcome === 'done' || report?.outcome === 'unneeded'
}

function skipped(step: FixStep): StepReport {
  return { step, outcome: 'skipped', problem: 'a step that it needs was not done' }
}

async function attempt(api: KubeApi, step: FixStep): Promise<StepReport> {
  try {
    const hasWritten = await execute(api, step)
    return { step, outcome: hasWritten ? 'done' : 'unneeded', problem: null }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const problem =
      step.do === 'recreate' && hasStatus(error, 429)
        ? `${error.message}; run the command again later`
        : error.message
    return { step, outcome: 'failed', problem }
  }
}

/** Returns false when there was nothing left to do. Throws KubeError. */
function execute(api: KubeApi, step: FixStep): Promise<boolean> {
  switch (step.do) {
    case 'copy':
      return copy(api, step)
    case 'link':
      return link(api, step)
    case 'recreate':
      return recreate(api, step)
  }
}

/** Creates the copy and never overwrites a secret. The copy has no label of the controller, which therefore does not maintain it. */
async function copy(
  api: KubeApi,
  { namespace, secret: name, from }: StepOf<'copy'>,
): Promise<boolean> {
  const secrets = { apiVersion: 'v1', resource: 'secrets', namespace }
  const { type = '', data = {} } = from.secret
  const key = type === 'kubernetes.io/dockercfg' ? '.dockercfg' : '.dockerconfigjson'
  const expiry = from.expiresAt === null ? {} : { [expiresAnnotation]: from.expiresAt }
  try {
    await api.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace,
        annotations: { [sourceAnnotation]: `${from.namespace}/${from.name}`, ...expiry },
      },
      type,
      data: { [key]: data[key] ?? '' },
    })
    return true
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
    const existing = await api.get<StoredSecret>({ ...secrets, name })
    if (existing !== null && hasSameContent(existing, from.secret)) return false
    throw error
  }
}

/** Appends with a JSON Patch: every other kind of patch replaces the whole list, which is atomic, and would drop entries of others. */
async function link(
  api: KubeApi,
  { namespace, account, secret }: StepOf<'link'>,
): Promise<boolean> {
  const where = { apiVersion: 'v1', resource: 'serviceaccounts', namespace, name: account }
  for (let attempts = 1; ; attempts++) {
    const now = await api.get<Account>(where)
    if (now === null)
      throw new KubeError(404, 'NotFound', `service account ${namespace}/${account} does not exist`)
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
      // 422: a `test` of the patch failed. 409: the account changed before the patch was stored.
      if (!hasStatus(error, 409, 422) || attempts === linkAttempts) throw error
    }
  }
}

/** Evicts the pod, which honours disruption budgets: only the pod with this UID, and only while its image cannot be pulled. */
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
    // The pod is gone, or another one has its name.
    if (hasStatus(error, 404, 409)) return false
    throw error
  }
}
