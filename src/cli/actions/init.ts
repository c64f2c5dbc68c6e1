/** Runs `berth init`: reads what runs, probes the registries, asks for the rest, and writes a config. */
import { createLimit } from '../../async/limit.ts'
import { readConfig } from '../../config/load.ts'
import type { Config } from '../../config/config.ts'
import { hubHost } from '../../decision/fallback/registry-aliases.ts'
import { BerthError } from '../../errors.ts'
import { type ClusterFacts, readClusterFacts } from '../../init/cluster-facts.ts'
import { configText } from '../../init/config-text.ts'
import {
  type InitPlan,
  isOnLoopback,
  type PlannedMirror,
  type PlannedUpstream,
} from '../../init/init-plan.ts'
import { type ProbeDependencies, probeImage, probeRegistry } from '../../init/probe-registry.ts'
import { type UpstreamHost, upstreamHosts } from '../../init/upstream-hosts.ts'
import { connect } from '../../kube/connect.ts'
import { readImageUses } from '../../manifests/image-uses.ts'
import { createUnreadFiles } from '../../manifests/unread-files.ts'
import { packageFilePath } from '../../package-root.ts'
import {
  parseProxy,
  proxyRulesFromEnvironment,
  type ProxyRules,
  proxyRulesOf,
} from '../../proxy/proxy-rules.ts'
import { systemNetwork } from '../../registry/http/ip-ranges.ts'
import { refuseLocalAddresses } from '../../registry/http/local-addresses.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { packageVersion } from '../package-version.ts'
import { openQuestions, type Questions } from '../questions.ts'
import { type MirrorOptions, planMirror, unlessDefault } from './init-mirror.ts'
import { writeConfig } from './init-write.ts'

export interface InitOptions extends MirrorOptions, ConnectionOptions {
  readonly fromCluster?: boolean
  readonly filename: readonly string[]
  readonly recursive?: boolean
  readonly registry: readonly string[]
  readonly schema?: string
  readonly yes?: boolean
  readonly proxy?: string
  readonly platforms?: readonly string[]
}

/** Milliseconds for an answer of a registry. */
const answerMs = 5_000

/** Registries that are probed at once. */
const parallelProbes = 8

/** Upstream registries that get a row if no images are known. */
const commonRegistries = ['docker.io', 'ghcr.io', 'quay.io', 'registry.k8s.io']

/** Returns 0; 1 if the file is not replaced; 3 if the mirror cannot be reached. */
export async function init(options: InitOptions, io: Io): Promise<number> {
  const questions = openQuestions(io, options.yes === true)
  let plan: InitPlan | null
  try {
    plan = await makePlan(options, questions, io)
  } finally {
    questions.close()
  }
  if (plan === null) return 3
  if (!(await writeConfig(configText(plan), options, io))) return 1
  if (options.out !== '-') printNextSteps(plan, options, io)
  return 0
}

async function makePlan(
  options: InitOptions,
  questions: Questions,
  io: Io,
): Promise<InitPlan | null> {
  const proxy = proxyOf(options.proxy)
  const environment = proxyRulesFromEnvironment(io.env)
  const probing = { network: systemNetwork, now: () => Date.now(), answerMs }
  const source = await chooseSource(options, questions)
  const facts = source === 'cluster' ? await factsOfCluster(options, io) : null
  const images = facts?.images ?? (await imagesOfFiles(options, io))
  const microk8sRegistry = facts?.microk8sRegistry ?? null
  const mirror = await planMirror(options, {
    questions,
    probing: {
      ...probing,
      proxyRules: proxyRulesOf(proxy === null ? undefined : 'none', environment),
    },
    microk8sRegistry,
    io,
  })
  if (mirror === null) return null
  const more = registriesToAdd(images, options)
  const { hosts, notes } = upstreamHosts(images, { mirror: mirror.host, more: more.map(hubHost) })
  return {
    schema: options.schema ?? packageFilePath('webhook-config/berth.schema.json'),
    mirror,
    upstreams: options.probe
      ? await probeUpstreams(hosts, { ...probing, proxy, environment }, io)
      : hosts.map((host) => ({ ...host, endpoint: null, note: null })),
    platforms: options.platforms ?? facts?.platforms ?? [],
    proxy,
    operators: facts?.operators ?? [],
    notes,
  }
}

/** Returns the registries that get a row even if no image is from there. */
function registriesToAdd(
  images: ReadonlySet<string>,
  { registry }: InitOptions,
): readonly string[] {
  return images.size === 0 && registry.length === 0 ? commonRegistries : registry
}

/** Returns where the images are listed. Throws `usage` if it is not given, and cannot be asked. */
async function chooseSource(
  { fromCluster, filename, registry }: InitOptions,
  questions: Questions,
): Promise<'cluster' | 'files' | 'none'> {
  if (fromCluster === true) return 'cluster'
  if (filename.length > 0) return 'files'
  if (registry.length > 0) return 'none'
  const answer = await questions.ask({
    text: 'Read the images of your cluster (y), or start with well-known registries (n)',
    flag: '--from-cluster, -f or --registry',
    suggestion: 'y',
  })
  return /^y/i.test(answer) ? 'cluster' : 'none'
}

async function factsOfCluster(options: InitOptions, io: Io): Promise<ClusterFacts> {
  const cluster = await connect(connectOptions(options, io))
  try {
    return await readClusterFacts(cluster.api)
  } finally {
    await cluster.close()
  }
}

async function imagesOfFiles(
  { filename, recursive }: InitOptions,
  io: Io,
): Promise<ReadonlySet<string>> {
  if (filename.length === 0) return new Set()
  const unread = createUnreadFiles()
  const uses = await readImageUses(
    {
      files: filename,
      recursive: recursive === true,
      stdin: io.stdin,
      namespace: undefined,
      cluster: null,
      onProblem: (message) => printMessage(io, message),
      unread,
      places: ['helm-values', 'custom-resource'],
    },
    catchAllConfig(),
  )
  unread.throwInvalid()
  return new Set(uses.map(({ image }) => image))
}

/** Images outside of pod templates count only if a row matches them; there is no config yet. */
function catchAllConfig(): Config {
  const result = readConfig(
    "apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback: [{ name: all, images: ['**'], try: ['{host}/{path}'] }]\n",
    '.',
  )
  if (!result.ok) throw new Error('the config is not valid')
  return result.config
}

function proxyOf(given: string | undefined): string | null {
  if (given === undefined || given === 'none') return null
  if (parseProxy(given) === null)
    throw new BerthError('usage', '--proxy: not the URL of an HTTP proxy; write http://HOST:PORT')
  if (given.includes('@'))
    throw new BerthError(
      'usage',
      '--proxy: a password would be in the config; set the proxy in a Secret (docs/configuration.md#proxies)',
    )
  return given
}

interface UpstreamProbing extends Omit<ProbeDependencies, 'proxyRules'> {
  /** The proxy that the config will have; null for none. */
  readonly proxy: string | null
  readonly environment: ProxyRules
}

async function probeUpstreams(
  hosts: readonly UpstreamHost[],
  { proxy, environment, network, ...others }: UpstreamProbing,
  io: Io,
): Promise<readonly PlannedUpstream[]> {
  const setting = proxy === null ? undefined : (parseProxy(proxy) ?? undefined)
  const probing: ProbeDependencies = {
    ...others,
    network: refuseLocalAddresses(network),
    proxyRules: proxyRulesOf(setting, environment),
  }
  const limit = createLimit(parallelProbes)
  const proxies = new Set<string>()
  const upstreams = await Promise.all(
    hosts.map((upstream) =>
      limit(async () => {
        const { host, example } = upstream
        const facts = await probeRegistry({ host, endpoint: null, ca: null }, probing)
        if (facts.proxy !== null && proxy === null) proxies.add(facts.proxy)
        const { endpoint, problem } = facts
        const problemOfImage =
          problem === null && example !== null ? await probeImage(example, endpoint, probing) : null
        return {
          ...upstream,
          endpoint: problem === null ? unlessDefault(endpoint, host) : null,
          note: problem === null ? problemOfImage : `not reached from here: ${problem}`,
        }
      }),
    ),
  )
  for (const { host, note } of upstreams) if (note !== null) printMessage(io, `${host}: ${note}`)
  for (const name of proxies)
    printMessage(
      io,
      `this machine uses the proxy ${name}; if the cluster needs it too, give --proxy ${name}`,
    )
  return upstreams
}

function printNextSteps({ mirror, upstreams }: InitPlan, options: InitOptions, io: Io): void {
  const config = options.out === 'berth.yaml' ? '' : ` --config ${options.out}`
  if (mirror.secret !== null)
    printMessage(
      io,
      `log in for \`berth mirror\` (docker login ${mirror.host}), and create the pull secret for \`berth install\`: kubectl create namespace berth-system; kubectl -n berth-system create secret docker-registry ${mirror.secret} --docker-server=${mirror.host} --docker-username=… --docker-password=…`,
    )
  const isPlainHttp = mirror.endpoint?.startsWith('http:') === true && mirror.kind !== 'microk8s'
  if (isPlainHttp || mirror.ca !== null)
    printMessage(
      io,
      `the nodes must reach ${mirror.host} too, ${isPlainHttp ? 'without TLS' : 'and trust its CA'}: \`berth nodes render\` writes their files (docs/nodes.md); otherwise pods cannot pull the images that Berth finds there`,
    )
  if (isOnLoopback(mirror)) printMessage(io, loopbackText(mirror))
  const pullSecret = mirror.secret === null ? '' : ` --image-pull-secret ${mirror.secret}`
  const commands = [
    `berth check${config}`,
    mirrorCommand(mirror, upstreams, options) + config,
    `berth install${config} --image ${mirror.host}${mirror.prefix === '' ? '' : `/${mirror.prefix}`}/berth:${packageVersion()}${pullSecret} --apply   # push this image first: docs/install.md`,
  ]
  print(io.stdout, ['Next:', ...commands.map((command) => `  ${command}`)].join('\n'))
}

function loopbackText({ host, endpoint, kind }: PlannedMirror): string {
  const finds = kind === 'microk8s' ? ', or --from-cluster, which finds it' : ''
  return `pods of Berth cannot reach ${host} at ${endpoint ?? 'this name'}: before \`berth install\`, write the address of a node or a Service as its \`endpoint\`, or run this again with --endpoint http://NODE:PORT${finds}`
}

/** Copies the images; for a mirror that fetches them itself, shows where one comes from. */
function mirrorCommand(
  { caches }: PlannedMirror,
  upstreams: readonly PlannedUpstream[],
  { fromCluster, filename, recursive }: InitOptions,
): string {
  const [example] = upstreams.flatMap((upstream) => upstream.example ?? [])
  if (caches.size > 0) return `berth explain ${example?.path ?? 'nginx'}`
  if (filename.length > 0)
    return `berth mirror${recursive === true ? ' -R' : ''} ${filename.map((name) => `-f ${name}`).join(' ')}`
  return fromCluster === true ? 'berth mirror --from-cluster -A' : 'berth mirror nginx:latest'
}
