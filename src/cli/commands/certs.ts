/** `berth certs`: everything that an API server needs to trust the webhook, as files. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve as resolvePath } from 'node:path'
import { parseDocument, stringify } from 'yaml'
import { BerthError } from '../../errors.ts'
import { type Certificates, makeCertificates } from '../../webhook/certificate/self-signed.ts'
import { readOptions, text } from '../options.ts'
import { type Command, print } from '../io.ts'

export const usage =
  'berth certs [--out DIR] [-n NAMESPACE] [--service NAME] [--names NAME,…] [--url URL] [--days N] [--force]'

/** A year: renewal is by hand until the webhook renews its own, and a hand forgets sooner than that. */
const defaultDays = 365

/** What an API server accepts at the most of a certificate that is not a CA's (825 days, as clients on macOS do). */
const maxDays = 825

/** Writes ca.crt, ca.key, tls.crt, tls.key, secret.yaml and mutating-webhook.yaml. Overwrites only with --force. */
export const certs: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      out: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      service: { type: 'string' },
      names: { type: 'string' },
      url: { type: 'string' },
      days: { type: 'string' },
      force: { type: 'boolean' },
    },
    usage,
  )
  const directory = text(values, 'out') ?? 'certs'
  const namespace = text(values, 'namespace') ?? 'berth-system'
  const service = text(values, 'service') ?? 'berth-webhook'
  const url = readUrl(text(values, 'url'))
  const extra = [
    ...(text(values, 'names')?.split(',') ?? []),
    ...(url === null ? [] : [url.hostname.replace(/^\[(.*)\]$/, '$1')]),
  ]
  const certificates = await makeCertificates({
    names: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, ...extra],
    days: readDays(text(values, 'days')),
    now: new Date(),
  })
  const files = render(certificates, { namespace, service, url })
  write(directory, files, values['force'] === true)
  for (const name of Object.keys(files)) print(io.stdout, join(directory, name))
  const manifests =
    url === null ? ['secret.yaml', 'mutating-webhook.yaml'] : ['mutating-webhook.yaml']
  print(
    io.stderr,
    `next: kubectl apply ${manifests.map((name) => `-f ${join(directory, name)}`).join(' ')}`,
  )
  return 0
}

function readDays(value: string | undefined): number {
  const days = value === undefined ? defaultDays : Number(value)
  if (Number.isInteger(days) && days >= 1 && days <= maxDays) return days
  throw new BerthError('usage', `--days ${value} is not a whole number from 1 to ${maxDays}`)
}

/** The API server wants https, and a path is added to what is given. */
function readUrl(value: string | undefined): URL | null {
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

interface Target {
  readonly namespace: string
  readonly service: string
  readonly url: URL | null
}

function render({ ca, leaf }: Certificates, target: Target): Record<string, string> {
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
    'mutating-webhook.yaml': renderWebhookConfig(ca.cert, target),
  }
}

/** The shipped webhook configuration with this CA, and with this service or URL. */
export function renderWebhookConfig(
  caCertificate: string,
  { namespace, service, url }: Target,
): string {
  const document = parseDocument(
    readFileSync(new URL('../../../webhook-config/mutating-webhook.yaml', import.meta.url), 'utf8'),
  )
  const { webhooks } = document.toJS() as {
    webhooks: { clientConfig: { service: { path: string } } }[]
  }
  for (const [index, { clientConfig }] of webhooks.entries()) {
    const { path } = clientConfig.service
    const address =
      url === null
        ? { service: { name: service, namespace, port: 443, path } }
        : { url: `${url.href.replace(/\/$/, '')}${path}` }
    document.setIn(
      ['webhooks', index, 'clientConfig'],
      document.createNode({ ...address, caBundle: base64(caCertificate) }),
    )
  }
  // Berth's own namespace is left out, whatever it is called: its pods have to start while it is away.
  return document.toString({ lineWidth: 0 }).replaceAll('berth-system', namespace)
}

function write(directory: string, files: Readonly<Record<string, string>>, force: boolean): void {
  const present = Object.keys(files).find((name) => existsSync(join(directory, name)))
  if (present !== undefined && !force) {
    throw new BerthError(
      'certificate-unwritable',
      `${join(directory, present)} exists, and somebody may rely on it; say --force to replace it, or choose another --out`,
    )
  }
  try {
    makeDirectory(resolvePath(directory))
    for (const [name, content] of Object.entries(files)) {
      const isSecret = name.endsWith('.key') || name === 'secret.yaml'
      const mode = isSecret ? 0o600 : 0o644
      writeFileSync(join(directory, name), content, { mode })
      // The mode above counts for new files only.
      chmodSync(join(directory, name), mode)
    }
  } catch (cause) {
    throw new BerthError(
      'certificate-unwritable',
      `${directory} cannot be written: ${(cause as NodeJS.ErrnoException).code}; choose another --out`,
      { cause },
    )
  }
}

/** Parents first, one by one: Node's own recursive form never returns where a directory cannot be made, as under /proc. */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return
  makeDirectory(dirname(directory))
  mkdirSync(directory)
}

function base64(pem: string): string {
  return Buffer.from(pem).toString('base64')
}
