/** Executes a plan of `berth diagnose --fix`, one write at a time. It replaces nothing and deletes no pod. */
import { setTimeout as sleep } from 'node:timers/promises'
import { pullFailures } from '../pull-failure.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus, KubeError } from '../../kube/error.ts'
import { evictPod } from '../../kube/evict.ts'
import type { KubeObject } from '../../kube/object.ts'
import { linkAccount } from '../../pull-secrets/cluster/link-account.ts'
import { expiresAnnotation, sourceAnnotation } from '../../pull-secrets/labels.ts'
import { hasSameContent, type StoredSecret } from './copy-source.ts'
import { type FixPlan, type FixStep, stepKey, type StepOf, type StepReport } from './steps.ts'

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

/** Adds the secret without the annotation of the controller, which therefore does not remove it. */
async function link(
  api: KubeApi,
  { namespace, account: name, secret }: StepOf<'link'>,
): Promise<boolean> {
  const change = { add: [secret], remove: [], isManaged: false }
  const { hasChanged, account } = await linkAccount(api, { namespace, name }, change)
  if (account === null)
    throw new KubeError(404, 'NotFound', `service account ${namespace}/${name} does not exist`)
  return hasChanged
}

/** Evicts the pod only while its image cannot be pulled. */
async function recreate(
  api: KubeApi,
  { namespace, pod: name, uid }: StepOf<'recreate'>,
): Promise<boolean> {
  const pod = await api.get<KubeObject>({ apiVersion: 'v1', resource: 'pods', namespace, name })
  if (pod === null || pod.metadata.uid !== uid || pullFailures(pod, []).length === 0) return false
  return evictPod(api, { namespace, name, uid })
}
