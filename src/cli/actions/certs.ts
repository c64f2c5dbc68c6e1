/** Runs `berth certs`: writes what an API server needs to trust the webhook. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve as resolvePath } from 'node:path'
import { stringify } from 'yaml'
import { BerthError } from '../../errors.ts'
import { type Certificates, makeCertificates } from '../../webhook/certificate/self-signed.ts'
import { renderWebhookManifest, type WebhookTarget } from '../../webhook/webhook-manifest.ts'
import { type Io, print } from '../io.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface CertsOptions {
  readonly out: string
  readonly namespace: string
  readonly service: string
  readonly names: readonly string[]
  readonly url?: string
  readonly days: number
  readonly force?: boolean
}

/** Prints the names of the files that it writes. Replaces files only with `--force`. */
export async function certs(options: CertsOptions, io: Io): Promise<number> {
  const { out, namespace, service } = options
  const url = parseUrl(options.url)
  const certificates = await makeCertificates({
    names: [
      `${service}.${namespace}.svc`,
      `${service}.${namespace}.svc.cluster.local`,
      ...options.names,
      // A URL has brackets around an IPv6 address, a certificate has none.
      ...(url === null ? [] : [url.hostname.replace(/^\[(.*)\]$/, '$1')]),
    ],
    days: options.days,
    now: new Date(),
  })
  const files = renderFiles(certificates, { namespace, service, url })
  writeFiles(out, files, options.force === true)
  for (const name of Object.keys(files)) print(io.stdout, join(out, name))
  const manifests =
    url === null ? ['secret.yaml', 'mutating-webhook.yaml'] : ['mutating-webhook.yaml']
  print(
    io.stderr,
    `next: kubectl apply ${manifests.map((name) => `-f ${join(out, name)}`).join(' ')}`,
  )
  return 0
}

/** The API server calls https only, and appends a path to the URL. Throws `usage`. */
function parseUrl(value: string | undefined): URL | null {
  if (value === undefined) return null
  if (URL.canParse(value)) {
    const url = new URL(value)
    const isPlain = [url.username, url.password, url.search, url.hash].every((part) => part === '')
    if (url.protocol === 'https:' && isPlain) return url
  }
  throw new BerthError(
    'usage',
    `--url ${value} is not an https URL without user, query and fragment; give the webhook's address, for example https://10.0.0.5:8443`,
  )
}

function renderFiles({ ca, leaf }: Certificates, target: WebhookTarget): Record<string, string> {
  return {
    'ca.crt': ca.cert,
    'ca.key': ca.key,
    'tls.crt': leaf.cert,
    'tls.key': leaf.key,
    'secret.yaml': stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${target.service}-tls`, namespace: target.namespace },
      type: 'kubernetes.io/tls',
      data: {
        'ca.crt': base64(ca.cert),
        'tls.crt': base64(leaf.cert),
        'tls.key': base64(leaf.key),
      },
    }),
    'mutating-webhook.yaml': renderWebhookManifest(ca.cert, target),
  }
}

function writeFiles(
  directory: string,
  files: Readonly<Record<string, string>>,
  force: boolean,
): void {
  const existing = Object.keys(files).find((name) => existsSync(join(directory, name)))
  if (existing !== undefined && !force)
    throw new BerthError(
      'certificate-unwritable',
      `${join(directory, existing)} exists and may be in use; use --force to replace it, or choose another --out`,
    )
  try {
    createDirectory(resolvePath(directory))
    for (const [name, content] of Object.entries(files)) {
      const isSecret = name.endsWith('.key') || name === 'secret.yaml'
      const mode = isSecret ? 0o600 : 0o644
      writeFileSync(join(directory, name), content, { mode })
      // `mode` applies to new files only.
      chmodSync(join(directory, name), mode)
    }
  } catch (cause) {
    throw new BerthError(
      'certificate-unwritable',
      `${directory} cannot be written: ${describeFileError(cause)}; choose another --out`,
      { cause },
    )
  }
}

/** Creates parents first. Node's `recursive` never returns where a directory cannot be created, as under /proc. */
function createDirectory(directory: string): void {
  if (existsSync(directory)) return
  createDirectory(dirname(directory))
  mkdirSync(directory)
}

function base64(pem: string): string {
  return Buffer.from(pem).toString('base64')
}
