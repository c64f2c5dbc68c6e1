/** `berth dev --register`: shows the pods of a real cluster to the process on this machine, for as long as it runs. */
import { hostname, networkInterfaces } from 'node:os'
import { parse } from 'yaml'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import type { KubeObject } from '../../kube/object.ts'
import { renderWebhookConfig } from '../commands/certs.ts'
import { type Io, print } from '../io.ts'

const configurations = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
}

export interface Registration {
  readonly cluster: Cluster
  readonly ca: string
  /** Where the API server reaches this machine. */
  readonly address: string
  readonly port: number
  /** The only namespace whose pods are shown; all but those left out when undefined. */
  readonly namespace: string | undefined
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks: readonly {
    readonly namespaceSelector: { readonly matchExpressions: readonly object[] }
  }[]
}

/** This machine's first address that others can reach; throws `usage` where it has none. */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found !== undefined) return found.address
  throw new BerthError(
    'usage',
    'this machine has no address of its own; say with --address where the API server reaches it',
  )
}

/** Registers; gives what takes the registration away again. Throws KubeError. */
export async function register(registration: Registration, io: Io): Promise<() => Promise<void>> {
  const { cluster, ca, address, port, namespace } = registration
  const host = address.includes(':') ? `[${address}]` : address
  const url = new URL(`https://${host}:${port}`)
  const shipped = parse(
    renderWebhookConfig(ca, { namespace: 'berth-system', service: 'berth-webhook', url }),
  ) as WebhookConfiguration
  // One for each machine, so that two people do not take it from each other; what a killed process left is replaced.
  const name = `berth-dev-${hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')}`
  const only = { key: 'kubernetes.io/metadata.name', operator: 'In', values: [namespace] }
  const webhooks = shipped.webhooks.map((webhook) => ({
    ...webhook,
    namespaceSelector: {
      matchExpressions: [
        ...webhook.namespaceSelector.matchExpressions,
        ...(namespace === undefined ? [] : [only]),
      ],
    },
  }))
  const where = { ...configurations, name }
  await cluster.api.delete(where)
  const made = await cluster.api.create<KubeObject>(configurations, {
    ...shipped,
    metadata: { name, labels: { 'app.kubernetes.io/name': 'berth-dev' } },
    webhooks,
  })
  print(io.stdout, `registered ${name} with ${cluster.context}, calling ${url.href}`)
  return async () => {
    await cluster.api.delete(where, { uid: made.metadata.uid })
    print(io.stdout, `took the registration ${name} away`)
  }
}
