/** Starts the console for tests, and follows it and asks it as its page does. */
import { get, request } from 'node:http'
import { afterEach, expect } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/load.ts'
import { createEventParser } from '../../src/console/page/event-parser.ts'
import type { PageFiles } from '../../src/console/server/page-files.ts'
import { localGuard } from '../../src/console/server/request-guard.ts'
import {
  type ConsoleOptions,
  type RunningConsole,
  startConsole,
} from '../../src/console/server/run-console.ts'
import type { ImagesChange, Sections } from '../../src/console/wire.ts'
import type { KubeApi } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import { consoleConfig, type ConsolePod, notFound, startConsoleKube } from './console-cluster.ts'
import type { FakeKube } from './fake-kube.ts'
import { type FakeRegistry, indexType, manifestType, startFakeRegistry } from './registry.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const index = JSON.stringify({
  schemaVersion: 2,
  mediaType: indexType,
  manifests: [
    {
      mediaType: manifestType,
      digest: `sha256:${'a'.repeat(64)}`,
      size: 2,
      platform: { os: 'linux', architecture: 'arm64' },
    },
  ],
})

export interface Started extends RunningConsole {
  readonly token: string
  readonly kube: FakeKube
  readonly registries: readonly FakeRegistry[]
  /** The config for the same registries, with more text. */
  configWith(more: string): Config
  /** The requests to the API server, such as `list pods`. */
  readonly requests: readonly string[]
  /** The next requests to the API server fail while this is true. */
  setAway(isAway: boolean): void
}

interface StartSettings extends Partial<ConsoleOptions> {
  readonly isRestricted?: boolean
  /** The port of a health server of Berth, which the proxy of the API server reaches for every pod. */
  readonly metricsPort?: number
}

const token = 'the-token'

/** Starts a console without a page, unless the settings have one. */
export async function startTestConsole(
  pods: readonly ConsolePod[],
  { isRestricted = false, metricsPort, ...settings }: StartSettings = {},
): Promise<Started> {
  const mirror = await startFakeRegistry()
  const upstream = await startFakeRegistry()
  const nginx = { repository: 'library/nginx', tag: '1', mediaType: indexType, body: index }
  mirror.addManifest(nginx)
  upstream.addManifest(nginx)
  upstream.addManifest({ repository: 'library/redis', tag: '8' })
  const kube = startConsoleKube(pods)
  const configWith = (more: string) => {
    const read = readConfig(`${consoleConfig(mirror.url, upstream.url)}${more}`, '/')
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    return read.config
  }
  let isAway = false
  const requests: string[] = []
  const api: KubeApi = {
    ...kube.api,
    list: (ref, ...rest) => {
      requests.push(`list ${ref.resource}`)
      if (isRestricted && ref.resource === 'namespaces')
        throw new KubeError(403, 'Forbidden', 'namespaces is forbidden')
      return kube.api.list(ref, ...rest)
    },
    get: (ref, ...rest) => {
      requests.push(`get ${ref.resource}`)
      return kube.api.get(ref, ...rest)
    },
    getRaw: (path) => {
      requests.push(`get ${path}`)
      const proxied = /^\/api\/v1\/namespaces\/berth-system\/pods\/[^/]+\/proxy(\/.*)$/.exec(
        path,
      )?.[1]
      if (proxied !== undefined && metricsPort !== undefined)
        return fetch(`http://127.0.0.1:${metricsPort}${proxied}`).then((answer) => answer.json())
      return isAway ? Promise.reject(new KubeError(null, '', 'away')) : Promise.resolve({})
    },
  }
  const bugs: unknown[] = []
  const running = await startConsole({
    cluster: { api, context: 'test', server: 'https://api.example' },
    config: configWith(''),
    configFile: '/etc/berth/berth.yaml',
    namespace: undefined,
    berthNamespace: 'berth-system',
    host: '127.0.0.1',
    port: 0,
    guardFor: (port) => localGuard(port, token),
    isShared: false,
    probe: true,
    secretsDirectory: '/nonexistent',
    env: {},
    version: '0.0.0',
    page: new Map() satisfies PageFiles,
    onProblem: () => undefined,
    onBug: (error) => bugs.push(error),
    times: { minIntervalMs: 20, pulseMs: 20, sampleMs: 10, trendMs: 20 },
    ...settings,
  })
  cleanups.push(
    () => mirror.close(),
    () => upstream.close(),
    async () => {
      await running.close()
      expect(bugs).toEqual([])
    },
  )
  return {
    ...running,
    token,
    kube,
    registries: [mirror, upstream],
    requests,
    configWith,
    setAway: (value) => {
      isAway = value
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

interface Question {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export function send(port: number, path: string, { method = 'GET', headers, body }: Question = {}) {
  return new Promise<Answer>((resolve, reject) => {
    const sent = request({ port, path, method, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

export const authorized = (token: string) => ({ authorization: `Bearer ${token}` })

export async function ask<Value>(
  { port, token }: Started,
  question: string,
  body: object = {},
): Promise<Value> {
  const { status, text } = await send(port, `/api/${question}`, {
    method: 'POST',
    headers: { ...authorized(token), 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect({ status, text }).toMatchObject({ status: 200 })
  return JSON.parse(text) as Value
}

export interface Follower {
  readonly sections: Partial<Sections>
  readonly images: Map<string, ImagesChange['changed'][number]>
  /** Everything that was sent. */
  text(): string
  until(isDone: (follower: Follower) => boolean): Promise<void>
  readonly status: Promise<number>
  close(): void
}

/** Follows the stream as the page does, until the test ends. */
export function follow({ port, token }: Started): Follower {
  const follower = followAt(port, token)
  cleanups.push(async () => follower.close())
  return follower
}

export function followAt(port: number, token: string | null): Follower {
  const parse = createEventParser()
  const sections: Record<string, unknown> = {}
  const images: Follower['images'] = new Map()
  const status = Promise.withResolvers<number>()
  let text = ''
  let onChange = () => {}
  const sent = get(
    { port, path: '/api/events', headers: token === null ? {} : authorized(token), agent: false },
    (response) => {
      // prettier-ignore
      status.resolve(response.statusCode ?? 0)
      response.on('error', () => undefined)
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        for (const { name, data } of parse(chunk.toString())) {
          const value = JSON.parse(data) as unknown
          if (name !== 'images') sections[name] = value
          else {
            const { isAll, changed, removed } = value as ImagesChange
            if (isAll) images.clear()
            for (const id of removed) images.delete(id)
            for (const row of changed) images.set(row.id, row)
          }
        }
        onChange()
      })
    },
  )
  sent.on('error', () => undefined)
  const follower: Follower = {
    sections,
    images,
    text: () => text,
    status: status.promise,
    until: (isDone) =>
      new Promise((resolve) => {
        onChange = () => {
          if (isDone(follower)) resolve()
        }
        onChange()
      }),
    close: () => sent.destroy(),
  }
  return follower
}

export const web = { name: 'web', namespace: 'shop', image: 'mirror.example/library/nginx:1', from: 'nginx:1' } // prettier-ignore
export const cache = { name: 'cache', namespace: 'shop', image: 'redis:8' }
export const gone = 'mirror.example/team/gone:1'
export const failing = { name: 'api', namespace: 'shop', image: gone, fails: notFound(gone), pullSecret: 'pull' } // prettier-ignore

export const imageOf = ({ images }: Follower, image: string) =>
  [...images.values()].find((each) => each.image === image)
