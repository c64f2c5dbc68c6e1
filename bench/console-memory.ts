/**
 * Measures the memory of the controller in a cluster with 5,000 pods, without and with the console, against an API server
 * and a registry in this process. Takes two minutes.
 */
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../src/kube/object.ts'
import { createEventParser } from '../src/console/page/event-parser.ts'
import type { Sections } from '../src/console/wire.ts'
import { type FakeRegistry, startFakeRegistry } from '../test/support/registry.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../test/support/scripted-api-server.ts'
import { startBenchController } from './lib/controller.ts'
import { megabytes } from './lib/numbers.ts'
import { printTable, progress } from './lib/report.ts'

interface Scene {
  readonly name: string
  readonly withConsole: boolean
  readonly pages: number
  /** Default: usual pods. */
  readonly pods?: (index: number) => KubeObject
}

const scenes: readonly Scene[] = [
  { name: 'without the console', withConsole: false, pages: 0 },
  { name: 'with the console, no page open', withConsole: true, pages: 0 },
  { name: 'with the console, one page open', withConsole: true, pages: 1 },
  { name: 'with the console, 16 pages open', withConsole: true, pages: 16 },
  { name: 'hostile pods, 16 pages open', withConsole: true, pages: 16, pods: hostilePod },
]

const podCount = 5_000
const imageCount = 800
const namespaceCount = 100

/** A pod as a Deployment makes it, of 6 kB. Every twentieth cannot pull its image. */
function pod(index: number): KubeObject {
  const app = `app-${index % 1_000}`
  const image = `docker.io/team-${index % 20}/service-${index % imageCount}:1.0.0`
  const isFailing = index % 20 === 0
  const env = Array.from({ length: 20 }, (_, each) => ({
    name: `SETTING_${each}`,
    value: `value-${index}-${each}`.padEnd(80, 'x'),
  }))
  const message = `failed to pull and unpack image "${image}": failed to resolve reference "${image}": ${image}: not found`
  const running = { startedAt: '2026-11-20T10:00:00Z' }
  const waiting = { reason: 'ErrImagePull', message }
  const names = ['main', 'sidecar']
  return {
    metadata: {
      name: `${app}-5d9c8b7f6-${index}`,
      namespace: `team-${index % namespaceCount}`,
      uid: `uid-${index}`,
      creationTimestamp: '2026-11-20T10:00:00Z',
      labels: { 'app.kubernetes.io/name': app, 'pod-template-hash': '5d9c8b7f6', team: 'platform' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${app}-5d9c8b7f6`, uid: app, controller: true }, // prettier-ignore
      ],
    },
    spec: {
      nodeName: `node-${index % 50}`,
      serviceAccountName: 'default',
      containers: names.map((name) => ({ name, image, imagePullPolicy: 'IfNotPresent', env })),
    },
    status: {
      phase: isFailing ? 'Pending' : 'Running',
      conditions: [{ type: 'Ready', status: isFailing ? 'False' : 'True' }],
      containerStatuses: names.map((name) => ({
        name,
        image,
        imageID: `${image.split(':')[0]}@sha256:${String(index % imageCount).padStart(64, '0')}`,
        ready: !isFailing,
        state: isFailing ? { waiting } : { running },
      })),
    },
  } as KubeObject
}

/** Has 64 images that no other pod has. */
function hostilePod(index: number): KubeObject {
  const containers = Array.from({ length: 64 }, (_, each) => ({
    name: `c${each}`,
    image: `docker.io/hostile-${index}/image-${each}:1`,
  }))
  return {
    metadata: { name: `hostile-${index}`, namespace: 'team-0', uid: `uid-${index}` },
    spec: { containers },
    status: { phase: 'Pending', containerStatuses: containers },
  } as KubeObject
}

async function startCluster(pods: (index: number) => KubeObject): Promise<ScriptedApiServer> {
  const server = await startScriptedApiServer({ isHttps: true })
  for (let index = 0; index < namespaceCount; index++)
    server.kube.put('namespaces', { metadata: { name: `team-${index}` } })
  for (let index = 0; index < podCount; index++) server.kube.put('pods', pods(index))
  return server
}

function configFor({ url }: FakeRegistry): string {
  return `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${url}', mirror: true, proxy: none }
  - { host: docker.io, endpoint: '${url}', proxy: none }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
`
}

/** Opens a page, and resolves when it has everything, or is cut because all pages together have read too little. */
function openPage(port: string): Promise<void> {
  const parse = createEventParser()
  const sections: Partial<Sections> = {}
  return new Promise((resolve) => {
    get(`http://127.0.0.1:${port}/api/events`, { agent: false }, (response) => {
      response.on('error', () => resolve())
      response.setEncoding('utf8').on('data', (text: string) => {
        for (const { name, data } of parse(text))
          if (name !== 'images') Object.assign(sections, { [name]: JSON.parse(data) })
        const { overview, status } = sections
        const isWhole = overview?.pods === podCount && status?.checking === 0
        // Hostile pods have more images than can be checked meanwhile.
        if (isWhole || (status !== undefined && status.leftOut > 0)) resolve()
      })
    }).on('error', () => resolve())
  })
}

async function measure({ name, withConsole, pages, pods = pod }: Scene): Promise<string[]> {
  progress(`console memory: ${name}`)
  const server = await startCluster(pods)
  const registry = await startFakeRegistry()
  const controller = await startBenchController(server, {
    config: configFor(registry),
    withConsole,
  })
  await controller.line('loops started')
  await server.waitForRequests({ path: '/pods', isWatch: true })
  if (pages > 0) {
    const { port } = JSON.parse(await controller.line('console listening')) as { port: number }
    await Promise.all(Array.from({ length: pages }, () => openPage(String(port))))
  }
  // Pods change, as in any cluster.
  for (let round = 0; round < 10; round++) {
    for (let index = round; index < podCount; index += 100) server.kube.put('pods', pods(index))
    await sleep(1_000)
  }
  if (controller.process.signalCode !== null) return [name, 'ended', 'ended']
  const [atRest, most] = [controller.memory('VmRSS'), controller.memory('VmHWM')]
  controller.stop()
  await server.close()
  await registry.close()
  const row = [name, megabytes(atRest), megabytes(most)]
  progress(row.join('  '))
  return row
}

const rows: string[][] = []
// With an argument, only the scenes with this text in their names.
const [, , only = ''] = process.argv
for (const scene of scenes.filter(({ name }) => name.includes(only)))
  rows.push(await measure(scene))
printTable([`controller, ${podCount.toLocaleString('en')} pods`, 'RSS', 'the most'], rows)
process.exit(0)
