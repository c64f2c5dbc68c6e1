/** Registers the webhook of `berth dev --register` with a cluster, for as long as the process runs. */
import { hostname, networkInterfaces } from 'node:os'
import { parse } from 'yaml'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import type { KubeObject } from '../../kube/object.ts'
import { renderWebhookManifest } from '../../webhook/webhook-manifest.ts'
import { type Io, print } from '../io.ts'

const configurations = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
}

export interface Registration {
  readonly cluster: Cluster
  /** PEM of the CA that signed the webhook's certificate. */
  readonly ca: string
  /** Where the API server reaches this machine. */
  readonly address: string
  readonly port: number
  /** The only namespace whose pods are sent; undefined for all that the shipped configuration selects. */
  readonly namespace: string | undefined
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks: readonly {
    readonly namespaceSelector: { readonly matchExpressions: readonly object[] }
  }[]
}

/** Returns the first IPv4 address of this machine that is not loopback. Throws `usage` if it has none. */
export function localAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found !== undefined) return found.address
  throw new BerthError(
    'usage',
    'this machine has only loopback addresses; use --address to say where the API server reaches it',
  )
}

/** Creates a webhook configuration; returns the function that deletes it. Throws KubeError. */
export async function registerWebhook(
  registration: Registration,
  io: Io,
): Promise<() => Promise<void>> {
  const { cluster } = registration
  const name = registrationName()
  const where = { ...configurations, name }
  // A process that was killed has left its configuration behind.
  await cluster.api.delete(where)
  const url = urlOf(registration)
  const created = await cluster.api.create<KubeObject>(
    configurations,
    configurationFor(registration, name, url),
  )
  print(io.stdout, `registered ${name} with ${cluster.context}, which calls ${url.href}`)
  return async () => {
    await cluster.api.delete(where, { uid: created.metadata.uid })
    print(io.stdout, `deleted the registration ${name}`)
  }
}

/** One name for each machine, so that two people do not replace each other's registration. */
function registrationName(): string {
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
  return `berth-dev-${host}`
}

function urlOf({ address, port }: Registration): URL {
  const host = address.includes(':') ? `[${address}]` : address
  return new URL(`https://${host}:${port}`)
}

function configurationFor({ ca, namespace }: Registration, name: string, url: URL): KubeObject {
  const target = { namespace: 'berth-system', service: 'berth-webhook', url }
  const shipped = parse(renderWebhookManifest(ca, target)) as WebhookConfiguration
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
  const metadata = { name, labels: { 'app.kubernetes.io/name': 'berth-dev' } }
  return { ...shipped, metadata, webhooks } as KubeObject
}
