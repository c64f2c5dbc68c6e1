/** `berth dev`: the webhook on this machine, and one pod through its own door, so that a newcomer sees what it does. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent, request } from 'undici'
import { parseDocument } from 'yaml'
import type { Config } from '../../config/config.ts'
import { loadConfig, readConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import { makeCertificates } from '../../webhook/certificate/self-signed.ts'
import { createLogs } from '../../telemetry/log.ts'
import type { Cluster } from '../../kube/connect.ts'
import { type Parsed, port, readOptions, text } from '../options.ts'
import { confirm } from '../confirm.ts'
import { ownAddress, register } from '../dev/register.ts'
import { showAdmission } from '../dev/admission-report.ts'
import { defaultSecretsDirectory } from '../../engine/decision-engine.ts'
import { type Command, type Io, print } from '../io.ts'
import { aborted } from '../../async/abort.ts'
import { type StandIn, startStandIn } from '../dev/stand-in-registry.ts'
import { startWebhook, type Webhook } from '../../webhook/start-webhook.ts'

export const usage =
  'berth dev [--config FILE] [--review FILE] [--port N] [--metrics-port N] [--secrets-dir DIR] [--once | --register [--yes] [--address ADDRESS] [-n NAMESPACE] [--kubeconfig FILE] [--context NAME]]'

const examples = fileURLToPath(new URL('../../../webhook-config/examples/', import.meta.url))

/** What the stand-in for anubis:32000 holds: two of the sample pod's four images. */
const onStandIn = ['library/nginx', 'ushadow-backend']

/** Longer than anybody leaves a terminal open, shorter than a certificate that could be taken for a real one. */
const certificateDays = 7

/** Serves until it is asked to stop, or, with --once, until the sample is shown; exits with 0. */
export const dev: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      review: { type: 'string' },
      port: { type: 'string' },
      'metrics-port': { type: 'string' },
      'secrets-dir': { type: 'string' },
      once: { type: 'boolean' },
      register: { type: 'boolean' },
      yes: { type: 'boolean' },
      address: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
    },
    usage,
  )
  const cluster = values['register'] === true ? await askFor(values, io) : null
  if (cluster === 'refused') return 0
  try {
    return await serveLocally(values, cluster, io)
  } finally {
    await cluster?.close()
  }
}

async function serveLocally(
  values: Parsed['values'],
  cluster: Cluster | null,
  io: Io,
): Promise<number> {
  const address = cluster === null ? null : (text(values, 'address') ?? ownAddress())
  const given = text(values, 'config')
  const standIn = given === undefined ? await startStandIn(onStandIn) : null
  const config = given === undefined ? exampleConfig(standIn) : loadConfig(given)
  const certificates = await makeCertificates({
    names: ['localhost', '127.0.0.1', '::1', ...(address === null ? [] : [address])],
    days: certificateDays,
    now: new Date(),
  })
  const directory = mkdtempSync(join(tmpdir(), 'berth-dev-'))
  writeFileSync(join(directory, 'ca.crt'), certificates.ca.cert)
  let webhook: Webhook | null = null
  let unregister: (() => Promise<void>) | null = null
  try {
    webhook = await startWebhook({
      config,
      tls: certificates.leaf,
      host: address === null ? '127.0.0.1' : '::',
      port: port(values, 'port', 0),
      metricsPort: port(values, 'metrics-port', 0),
      secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
      logs: createLogs(address === null ? 'warn' : 'info', io.stderr),
    })
    introduce({ given, standIn, webhook, io })
    const review = text(values, 'review') ?? join(examples, 'review.json')
    await admitSample({ webhook, review, ca: certificates.ca.cert, io })
    if (cluster !== null && address !== null)
      unregister = await register(
        {
          cluster,
          ca: certificates.ca.cert,
          address,
          port: webhook.port,
          namespace: text(values, 'namespace'),
        },
        io,
      )
    if (values['once'] !== true) {
      print(
        io.stdout,
        `try next:  curl --cacert ${join(directory, 'ca.crt')} -H 'content-type: application/json' --data-binary @${shown(review)} 'https://localhost:${webhook.port}/mutate?timeout=5s'`,
      )
      print(io.stdout, 'stop with Ctrl-C')
      await aborted(io.signal)
    }
  } finally {
    await unregister?.()
    await webhook?.close()
    standIn?.close()
    rmSync(directory, { recursive: true, force: true })
  }
  return 0
}

/** The cluster to register with, once the person has agreed. Throws `usage` or `kubeconfig-invalid`. */
async function askFor(values: Parsed['values'], io: Io): Promise<Cluster | 'refused'> {
  if (values['once'] === true)
    throw new BerthError('usage', '--once ends at once, and --register lasts; give one of the two')
  const { connect } = await import('../../kube/connect.ts')
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  const namespace = text(values, 'namespace')
  const pods = namespace === undefined ? 'new pods' : `new pods of namespace ${namespace}`
  const question = `Let ${cluster.context} (${cluster.server}) show ${pods} to this process?`
  if (values['yes'] === true || (await confirm(question, io))) return cluster
  await cluster.close()
  return 'refused'
}

interface Introduced {
  readonly given: string | undefined
  readonly standIn: StandIn | null
  readonly webhook: Webhook
  readonly io: Io
}

/** Says what runs where. */
function introduce({ given, standIn, webhook, io }: Introduced): void {
  const table = given ?? shown(join(examples, 'anubis.yaml'))
  print(io.stdout, `table      ${table}`)
  if (standIn !== null)
    print(
      io.stdout,
      `stand-in   ${standIn.url} plays anubis:32000, and holds ${onStandIn.join(' and ')}`,
    )
  print(io.stdout, `webhook    https://localhost:${webhook.port}/mutate`)
  print(io.stdout, `metrics    http://localhost:${webhook.metricsPort}/metrics\n`)
}

/** The example of the documentation, with its mirror answered for by the stand-in. */
function exampleConfig(standIn: StandIn | null): Config {
  const document = parseDocument(readFileSync(join(examples, 'anubis.yaml'), 'utf8'))
  if (standIn !== null) document.setIn(['registries', 0, 'endpoint'], standIn.url)
  const result = readConfig(document.toString(), examples)
  if (result.ok) return result.config
  throw new BerthError('config-invalid', result.problems.map(({ message }) => message).join('\n'))
}

interface Sample {
  readonly webhook: Webhook
  readonly review: string
  readonly ca: string
  readonly io: Io
}

/** Sends the review through the webhook's own HTTPS door, as an API server would. */
async function admitSample({ webhook, review, ca, io }: Sample): Promise<void> {
  let body: string
  try {
    body = readFileSync(review, 'utf8')
  } catch (cause) {
    throw new BerthError(
      'usage',
      `${review} cannot be read: ${(cause as NodeJS.ErrnoException).code}; --review takes a file with an AdmissionReview`,
      { cause },
    )
  }
  const agent = new Agent({ connect: { ca } })
  try {
    const started = performance.now()
    const response = await request(`https://localhost:${webhook.port}/mutate?timeout=5s`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      dispatcher: agent,
    })
    const answer = await response.body.text()
    if (response.statusCode !== 200) throw new BerthError('usage', `${review}: ${answer.trim()}`)
    showAdmission(
      {
        review: JSON.parse(body),
        answer: JSON.parse(answer),
        milliseconds: performance.now() - started,
      },
      io,
    )
  } finally {
    await agent.close()
  }
}

function shown(file: string): string {
  const short = relative(process.cwd(), file)
  return short.startsWith('..') ? file : short
}
