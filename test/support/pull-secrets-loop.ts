/** Runs the pull secrets loop on a FakeKube. */
import { pino } from 'pino'
import { Registry } from 'prom-client'
import type { RateLimiter } from '../../src/async/rate-limiter.ts'
import { readConfig } from '../../src/config/load.ts'
import {
  createPullSecretsLoop,
  type PullSecretsTimes,
} from '../../src/controller/pull-secrets-loop.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createPullSecretMetrics } from '../../src/telemetry/pull-secret-metrics.ts'
import type { FakeKube } from './fake-kube.ts'

type Account = KubeObject & { imagePullSecrets?: { name: string }[] }

/** A source secret in the namespace `home`. */
export function source(password: string, name = 'src'): KubeObject {
  const auth = Buffer.from(`u:${password}`).toString('base64')
  const text = JSON.stringify({ auths: { 'x.io': { auth } } })
  return {
    metadata: { name, namespace: 'home', labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(text).toString('base64') },
  } as KubeObject
}

export interface RunningLoop {
  /** Returns the lines of the log with this message. */
  readonly logged: (message: string) => Record<string, unknown>[]
  readonly metrics: () => Promise<string>
  readonly stop: () => Promise<void>
}

export interface LoopOptions {
  /** More settings of the copy. */
  readonly copy?: string
  /** More entries of `copies`. */
  readonly more?: readonly string[]
  readonly limiter?: RateLimiter
  readonly times?: PullSecretsTimes
}

/** Lets every caller through at once. */
export const noLimit: RateLimiter = { acquire: () => Promise.resolve(), delayMs: () => 0 }

/** Starts the loop with the copy `pull` of `home/src` for all accounts named default in the namespaces `app*`. */
export function startPullSecretsLoop(
  kube: FakeKube,
  { copy = '', more = [], limiter = noLimit, times }: LoopOptions = {},
): RunningLoop {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  stuckPods: recreate
  copies:
    - { name: pull, from: [home/src], namespaces: ['app*'] ${copy} }
${more.map((entry) => `    - ${entry}`).join('\n')}`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const lines: Record<string, unknown>[] = []
  const write = (line: string) =>
    void lines.push({ ...(JSON.parse(line) as object), at: performance.now() })
  const log = pino({}, { write })
  const registry = new Registry()
  const loop = createPullSecretsLoop({
    api: kube.api,
    settings: result.config.pullSecretCopies,
    log,
    metrics: createPullSecretMetrics(registry),
    limiter,
    times,
  })
  const stopping = new AbortController()
  const running = loop.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
  }
  const logged = (message: string) => lines.filter(({ msg }) => msg === message)
  return { logged, metrics: () => registry.metrics(), stop }
}

export function putNamespaces(kube: FakeKube, names: readonly string[]): void {
  for (const name of names) {
    kube.put('namespaces', { metadata: { name } })
    kube.put('serviceaccounts', { metadata: { name: 'default', namespace: name } })
  }
}

export function eventsIn(kube: FakeKube, namespace: string): KubeObject[] {
  const names = kube.writes.flatMap(
    ({ about }) => new RegExp(`^events ${namespace}/(.*)`).exec(about)?.[1] ?? [],
  )
  return [...new Set(names)].flatMap((name) => kube.get('events', name, namespace) ?? [])
}

export function attemptsOf(kube: FakeKube, write: string): number {
  return kube.writes.filter(({ verb, about }) => `${verb} ${about}` === write).length
}

export function secretsOf(
  kube: FakeKube,
  namespace: string,
  name = 'default',
): (string | undefined)[] | undefined {
  const account: Account | null = kube.get('serviceaccounts', name, namespace)
  return account?.imagePullSecrets?.map(({ name }) => name)
}
