/** What the API server of either provider gets for the tests: an audit log, and a client certificate for webhooks. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { podStreamNamespace } from './cluster.ts'
import { writeRunJson } from './local-cluster/files.ts'
import { createCertificate, type KeyPair } from './local-cluster/pki.ts'

export type ApiServerConfig = Pick<Cluster, 'auditLog' | 'webhookClient'> & {
  /** The directory with all of its files, on this machine. */
  directory: string
  /** The flags of kube-apiserver. */
  flags: Record<string, string>
}

/** The name of the directory in the run directory. */
const name = 'api-server'

/** The common name in the certificate that the API server shows to webhooks. */
const webhookClientName = 'kube-apiserver-webhooks'

/** Bodies for pods, which Berth changes, except for those of pod streams; metadata for the rest. */
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'Metadata', namespaces: [podStreamNamespace] },
    { level: 'RequestResponse', resources: [{ group: '', resources: ['pods'] }] },
    { level: 'Metadata' },
  ],
}

/** Writes the files. `seenAt` is the path of their directory for the API server; default: the same as here. */
export async function createApiServerConfig(
  runDir: string,
  seenAt?: string,
): Promise<ApiServerConfig> {
  const directory = join(runDir, name)
  const at = (file: string) => join(seenAt ?? directory, file)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const { ca, client } = await createWebhookClient(directory)
  writeRunJson(runDir, `${name}/audit-policy.yaml`, auditPolicy)
  writeAdmissionConfig(runDir, at)
  // Created here, so that the user of the tests can read it if the API server is root.
  writeFileSync(auditLogOf(runDir), '')
  return {
    directory,
    auditLog: auditLogOf(runDir),
    webhookClient: { ca, name: webhookClientName, ...client },
    flags: {
      'admission-control-config-file': at('admission.json'),
      'audit-policy-file': at('audit-policy.yaml'),
      'audit-log-path': at('audit.log'),
      // In megabytes. A rotated log would hide earlier events from the tests.
      'audit-log-maxsize': '10000',
    },
  }
}

/** Returns the path of the audit log on this machine. */
export function auditLogOf(runDir: string): string {
  return join(runDir, name, 'audit.log')
}

/** Makes the API server show a client certificate to each webhook that asks for one, as docs/install.md describes. */
function writeAdmissionConfig(runDir: string, at: (file: string) => string): void {
  const user = {
    'client-certificate': at('webhook-client.crt'),
    'client-key': at('webhook-client.key'),
  }
  writeRunJson(runDir, `${name}/webhook-client.json`, {
    apiVersion: 'v1',
    kind: 'Config',
    users: [{ name: '*', user }],
  })
  const apiVersion = 'apiserver.config.k8s.io/v1'
  const configuration = {
    apiVersion,
    kind: 'WebhookAdmissionConfiguration',
    kubeConfigFile: at('webhook-client.json'),
  }
  writeRunJson(runDir, `${name}/admission.json`, {
    apiVersion,
    kind: 'AdmissionConfiguration',
    plugins: [{ name: 'MutatingAdmissionWebhook', configuration }],
  })
}

async function createWebhookClient(directory: string): Promise<{ ca: string; client: KeyPair }> {
  const isCa = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']
  const ca = await createCertificate(directory, 'webhook-client-ca', '/CN=webhook-callers', isCa)
  const usage = ['extendedKeyUsage=clientAuth']
  const subject = `/CN=${webhookClientName}`
  const client = await createCertificate(directory, 'webhook-client', subject, usage, ca)
  return { ca: ca.certificate, client }
}
