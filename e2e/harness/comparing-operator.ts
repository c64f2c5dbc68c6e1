/**
 * An operator that compares images, as CloudNativePG does: it owns one pod through a custom resource, and deletes and
 * recreates the pod while its image is not the wanted one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { apply, create, getJson, kubectl, kubectlOk, remove } from './kubectl.ts'
import { type Pod, podManifest } from './pods.ts'
import { waitFor } from './wait.ts'

export type OperatorOptions = {
  group: string
  kind: string
  namespace: string
  /** Of the custom resource and of the pod. */
  name: string
  image: string
}

export type ComparingOperator = {
  /** How often it has found the pod with another image, and deleted it. */
  recreations(): number
  /** How often it has found the pod as it should be since it last deleted it. */
  satisfied(): number
  stop(): Promise<void>
}

const intervalMs = 250

/** Creates the custom resource and starts the operator. */
export async function startOperator(options: OperatorOptions): Promise<ComparingOperator> {
  const { group, kind, namespace, name, image } = options
  const plural = `${kind.toLowerCase()}s`
  await apply(customResourceDefinition(group, kind))
  await waitFor(`the API of ${kind}`, async () => {
    const resource = { apiVersion: `${group}/v1`, kind, metadata: { name, namespace } }
    return (await kubectl(['apply', '-f', '-'], { input: JSON.stringify(resource) })).code === 0
  })
  const resource = await getJson<{ metadata: { uid: string } }>(
    `${plural}.${group}`,
    name,
    namespace,
  )
  const owner = {
    apiVersion: `${group}/v1`,
    kind,
    name,
    uid: resource.metadata.uid,
    controller: true,
  }
  const manifest = podManifest({ name, namespace, image, pullPolicy: 'IfNotPresent' })
  const counts = { recreations: 0, satisfied: 0 }
  const stop = new AbortController()
  const running = reconcile()
  return {
    recreations: () => counts.recreations,
    satisfied: () => counts.satisfied,
    stop: async () => {
      stop.abort()
      await running
      await remove(`${plural}.${group}`, name, namespace)
      await remove('pod', name, namespace)
      await kubectlOk(['delete', 'customresourcedefinition', `${plural}.${group}`])
    },
  }

  async function reconcile(): Promise<void> {
    while (!stop.signal.aborted) {
      const pod = await currentPod()
      if (pod === null)
        await create({ ...manifest, metadata: { name, namespace, ownerReferences: [owner] } })
      else if (pod.spec.containers[0]?.image === image) counts.satisfied += 1
      else {
        counts.recreations += 1
        counts.satisfied = 0
        await remove('pod', name, namespace)
      }
      await sleep(intervalMs)
    }
  }

  async function currentPod(): Promise<Pod | null> {
    const { code, stdout } = await kubectl(['get', 'pod', name, '-n', namespace, '-o', 'json'])
    return code === 0 ? (JSON.parse(stdout) as Pod) : null
  }
}

function customResourceDefinition(group: string, kind: string): object {
  const singular = kind.toLowerCase()
  const schema = { openAPIV3Schema: { type: 'object' } }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${singular}s.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, singular, plural: `${singular}s` },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  }
}
