/** Runs `berth dev`: the webhook on this machine, and a sample pod that it admits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseDocument } from 'yaml'
import { aborted } from '../../async/abort.ts'
import type { Config } from '../../config/config.ts'
import { loadConfig, readConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import { createLogs } from '../../telemetry/log.ts'
import { makeCertificates } from '../../webhook/certificate/self-signed.ts'
import { startWebhook, type Webhook } from '../../webhook/start-webhook.ts'
import { confirm } from '../confirm.ts'
import { connectOptions } from '../connect-options.ts'
import { showAdmission } from '../dev/admission-report.ts'
import { localAddress, registerWebhook } from '../dev/register-webhook.ts'
import { readReview, type ReviewText } from '../dev/read-review.ts'
import { sendReview } from '../dev/send-review.ts'
import { startStandIn, type StandInRegistry } from '../dev/stand-in-registry.ts'
import { type Io, print } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { packageFilePath, readPackageFile } from '../../package-root.ts'

export interface DevOptions extends ConnectionOptions {
  readonly config?: string
  readonly review?: string
  readonly port: number
  readonly metricsPort: number
  readonly secretsDir: string
  readonly once?: boolean
  readonly register?: boolean
  readonly yes?: boolean
  readonly address?: string
  readonly namespace?: string
}

const exampleFiles = {
  config: 'webhook-config/examples/anubis.yaml',
  review: 'webhook-config/examples/review.json',
}

/** The images of the sample pod that the stand-in registry serves: two of four, so that both outcomes are seen. */
const standInRepositories = ['docker.io/library/nginx', 'ushadow-backend']

/** Longer than a terminal stays open, and too short to be used for anything else. */
const certificateDays = 7

/** Serves until the process is asked to stop, or with `--once` until the sample is shown; returns 0. */
export async function dev(options: DevOptions, io: Io): Promise<number> {
  const cluster = options.register === true ? await connectIfAllowed(options, io) : null
  if (cluster === 'declined') return 0
  try {
    await serveLocally(options, cluster, io)
    return 0
  } finally {
    await cluster?.close()
  }
}

/** Connects to the cluster and asks whether to register with it. Throws `usage` and `kubeconfig-invalid`. */
async function connectIfAllowed(options: DevOptions, io: Io): Promise<Cluster | 'declined'> {
  const { connect } = await import('../../kube/connect.ts')
  const cluster = await connect(connectOptions(options, io))
  const { namespace, yes } = options
  const pods = namespace === undefined ? 'new pods' : `new pods in namespace ${namespace}`
  const question = `Let ${cluster.context} (${cluster.server}) send ${pods} to this process?`
  if (yes === true || (await confirm(question, io))) return cluster
  await cluster.close()
  return 'declined'
}

async function serveLocally(options: DevOptions, cluster: Cluster | null, io: Io): Promise<void> {
  const review = options.review === undefined ? exampleReview() : readReview(options.review)
  const address = cluster === null ? null : (options.address ?? localAddress())
  const standIn = options.config === undefined ? await startStandIn(standInRepositories) : null
  const config = options.config === undefined ? exampleConfig(standIn) : loadConfig(options.config)
  const { ca, leaf } = await makeCertificates({
    names: ['localhost', '127.0.0.1', '::1', ...(address === null ? [] : [address])],
    days: certificateDays,
    now: new Date(),
  })
  const directory = mkdtempSync(join(tmpdir(), 'berth-dev-'))
  const caFile = join(directory, 'ca.crt')
  writeFileSync(caFile, ca.cert)
  let webhook: Webhook | null = null
  let unregister: (() => Promise<void>) | null = null
  try {
    webhook = await startWebhook({
      config,
      tls: leaf,
      host: address === null ? '127.0.0.1' : '::',
      port: options.port,
      metricsPort: options.metricsPort,
      secretsDirectory: options.secretsDir,
      logs: createLogs(address === null ? 'warn' : 'info', io.stderr),
    })
    printAddresses({ table: options.config, standIn, webhook, io })
    showAdmission(await sendReview(review, { port: webhook.port, ca: ca.cert }), io)
    if (cluster !== null && address !== null)
      unregister = await registerWebhook(
        { cluster, ca: ca.cert, address, port: webhook.port, namespace: options.namespace },
        io,
      )
    if (options.once === true) return
    printNextSteps({ review, directory, caFile, port: webhook.port }, io)
    await aborted(io.signal)
  } finally {
    await unregister?.()
    await webhook?.close()
    standIn?.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

interface NextSteps {
  readonly review: ReviewText
  /** Where to write a review that is in no file. */
  readonly directory: string
  readonly caFile: string
  readonly port: number
}

function printNextSteps({ review, directory, caFile, port }: NextSteps, io: Io): void {
  const file = review.isFromFile ? shortPath(review.file) : join(directory, 'review.json')
  if (!review.isFromFile) writeFileSync(file, review.body)
  print(
    io.stdout,
    `try next:  curl --cacert ${caFile} -H 'content-type: application/json' --data-binary @${file} 'https://localhost:${port}/mutate?timeout=5s'`,
  )
  print(io.stdout, 'stop with Ctrl-C')
}

interface Addresses {
  readonly table: string | undefined
  readonly standIn: StandInRegistry | null
  readonly webhook: Webhook
  readonly io: Io
}

function printAddresses({ table, standIn, webhook, io }: Addresses): void {
  print(
    io.stdout,
    `table      ${table ?? shortPath(packageFilePath(exampleFiles.config) ?? exampleFiles.config)}`,
  )
  if (standIn !== null)
    print(
      io.stdout,
      `stand-in   ${standIn.url} answers for anubis:32000, and has ${standInRepositories.join(' and ')}`,
    )
  print(io.stdout, `webhook    https://localhost:${webhook.port}/mutate`)
  print(io.stdout, `metrics    http://localhost:${webhook.metricsPort}/metrics\n`)
}

function exampleReview(): ReviewText {
  const file = packageFilePath(exampleFiles.review)
  const body = readPackageFile(exampleFiles.review)
  return { file: file ?? exampleFiles.review, body, isFromFile: file !== null }
}

/** Returns the example of the documentation, with the stand-in as the endpoint of its mirror. */
function exampleConfig(standIn: StandInRegistry | null): Config {
  const document = parseDocument(readPackageFile(exampleFiles.config))
  if (standIn !== null) document.setIn(['registries', 0, 'endpoint'], standIn.url)
  const result = readConfig(document.toString(), process.cwd())
  if (result.ok) return result.config
  throw new BerthError('config-invalid', result.problems.map(({ message }) => message).join('\n'))
}

/** Relative to the working directory for files below it. */
function shortPath(file: string): string {
  const short = relative(process.cwd(), file)
  return short.startsWith('..') ? file : short
}
