import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { untilRewritten } from '../harness/berth.ts'
import { currentCluster } from '../harness/cluster.ts'
import {
  applyKustomization,
  giveCertificate,
  type ImageRegistry,
  namespace,
  publishImage,
  repository,
  rolledOut,
  writeOverlay,
} from '../harness/install.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndHub, startMirrorAndHub } from '../harness/mirror-and-hub.ts'
import { podManifest, podRunning } from '../harness/pods.ts'

/** Berth installed as it is to be installed: from its own image, by kustomize, called through its Service. */
const cluster = currentCluster()
let image: ImageRegistry
let registries: MirrorAndHub

beforeAll(async () => {
  image = await publishImage('0.1.0')
  registries = await startMirrorAndHub('install', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  await registries.push(registries.hub, 'library/only-hub', '1')
})

afterAll(async () => {
  await registries?.stop()
  await image?.stop()
})

describe('kubectl apply -k deploy/base', () => {
  let warnings: string

  beforeAll(async () => {
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
    await giveCertificate()
    warnings = await applyKustomization(`${repository}deploy/base`)
    await giveCertificate()
    await rolledOut()
  })

  test('brings Berth up in a namespace of the restricted Pod Security Standard, without a warning', async () => {
    expect(warnings).not.toMatch(/warning.*PodSecurity/i)
  })

  test('rewrites pods through the Service', async () => {
    const overlay = writeOverlay('install', {
      base: 'deploy/base',
      files: { 'berth.yaml': registries.config },
    })
    await applyKustomization(overlay)
    await giveCertificate()
    await untilRewritten('app')
    await apply(podManifest({ name: 'app', image: 'app' }))
    const pod = await podRunning('app')
    await remove('pod', 'app')

    expect(pod.spec.containers[0]?.image).toMatch(/^mirror\.example\/library\/app:latest@sha256:/)
  })

  test('leaves nothing behind', async () => {
    await kubectlOk(['delete', '-k', `${repository}deploy/base`])

    expect(await kubectlOk(['get', 'mutatingwebhookconfigurations', '-o', 'name'])).toBe('')
  })
})
