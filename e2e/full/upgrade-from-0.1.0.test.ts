/**
 * Upgrades from 0.1.0 and back, with a config for 0.1.0, `failurePolicy: Fail`, three replicas and a steady stream of pods.
 * Both versions run from their own images, with their own manifests.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { findNewerKeys } from '../../src/config/version-keys.ts'
import { berthImage } from '../harness/berth-image.ts'
import { currentCluster } from '../harness/cluster.ts'
import { helmOk } from '../harness/helm.ts'
import { applyKustomization, waitForRollout } from '../harness/install.ts'
import { apply, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { log } from '../harness/log.ts'
import { chart } from '../harness/manifests.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { type PodStream, startPodStream } from '../harness/pod-stream.ts'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { type OlderBerth, olderVersion, publishOlderBerth } from './older-version.ts'

const cluster = currentCluster()
let older: OlderBerth
let registries: MirrorAndUpstream

beforeAll(async () => {
  older = await publishOlderBerth(cluster)
  registries = await startMirrorAndUpstream('upgrade-versions', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
})

afterAll(async () => {
  await registries?.stop()
  await older?.stop()
})

test('the config is one for 0.1.0', () => {
  expect(findNewerKeys(olderVersion, registries.config)).toEqual([])
})

/** Does something during a stream of pods; fails if a pod was rejected, or came without the image of the mirror. */
async function whilePodsAreCreated(name: string, work: () => Promise<void>): Promise<void> {
  const images: string[] = []
  const stream: PodStream = await startPodStream(['app'], {
    onCreated: (pod) => images.push(pod.spec.containers[0]?.image ?? ''),
  })
  try {
    await stream.waitForPods(10)
    await work()
    await stream.waitForPods(10)
  } finally {
    const { created, failures, longestMs } = await stream.stop()
    log(
      `${name}: ${created} pods created, ${failures.length} rejected, slowest ${longestMs.toFixed(0)} ms`,
    )
    expect(failures).toEqual([])
  }
  const mirrored = 'mirror.example/library/app:latest@sha256:'
  expect(images.filter((image) => !image.startsWith(mirrored))).toEqual([])
}

async function imagesOf(inNamespace: string): Promise<string[]> {
  const path = "{range .items[*]}{.spec.template.spec.containers[0].image}{'\\n'}{end}"
  const output = await kubectlOk([
    'get',
    'deployments',
    '-n',
    inNamespace,
    '-o',
    `jsonpath=${path}`,
  ])
  return [...new Set(output.trim().split('\n'))]
}

async function waitForBoth(inNamespace: string): Promise<void> {
  await waitForRollout('berth-webhook', inNamespace)
  await waitForRollout('berth-controller', inNamespace)
}

describe('kustomize', () => {
  const files = () => ({ 'berth.yaml': registries.config })
  const overlays: string[] = []

  const use = async (overlay: string) => {
    overlays.push(overlay)
    await applyKustomization(overlay)
    await waitForBoth(namespace)
  }
  const olderOverlay = () =>
    writeOverlay('older', {
      checkout: older.checkout,
      base: 'deploy/base',
      files: files(),
      components: ['fail-closed'],
      extra: `images: [{ name: berth.invalid/berth, newName: ${older.image}, newTag: ${olderVersion} }]\n`,
    })

  beforeAll(async () => {
    await use(olderOverlay())
    await waitUntilRewritten('app')
  })

  afterAll(async () => {
    for (const overlay of overlays) await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  })

  test('the upgrade rejects no pod', async () => {
    const newer = writeOverlay('newer', {
      base: 'deploy/base',
      files: files(),
      components: ['fail-closed'],
    })
    await whilePodsAreCreated('kubectl apply of the new version', () => use(newer))

    expect(await imagesOf(namespace)).toEqual([berthImage])
  }, 600_000)

  test('going back rejects no pod', async () => {
    await whilePodsAreCreated('kubectl apply of 0.1.0', () => use(olderOverlay()))

    expect(await imagesOf(namespace)).toEqual([`${older.image}:${olderVersion}`])
  }, 600_000)
})

describe('helm', () => {
  const release = 'older-harbour'

  /** Values that both charts accept; the image is that of the chart unless `image` says otherwise. */
  const writeValues = (name: string, image?: object): string => {
    const file = join(cluster.runDir, `values-${name}.json`)
    const webhook = { failurePolicy: 'Fail', replicas: 3 }
    writeFileSync(
      file,
      JSON.stringify({
        config: parse(registries.config) as object,
        webhook,
        ...(image && { image }),
      }),
    )
    return file
  }

  beforeAll(async () => {
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: release } })
    const values = writeValues('older', { repository: older.image })
    const olderChart = join(older.checkout, 'deploy/chart')
    await helmOk(['install', 'berth', olderChart, '-n', release, '-f', values])
    await waitForBoth(release)
    await waitUntilRewritten('app')
  })

  afterAll(async () => {
    await remove('mutatingwebhookconfiguration', 'berth')
    await helmOk(['uninstall', 'berth', '-n', release, '--ignore-not-found'])
    await removeNamespaces(release)
  })

  test('helm upgrade rejects no pod', async () => {
    const values = writeValues('newer')
    await whilePodsAreCreated('helm upgrade', async () => {
      await helmOk(['upgrade', 'berth', chart, '-n', release, '-f', values])
      await waitForBoth(release)
    })

    expect(await imagesOf(release)).toEqual([berthImage])
  }, 600_000)

  test('helm rollback rejects no pod', async () => {
    await whilePodsAreCreated('helm rollback', async () => {
      await helmOk(['rollback', 'berth', '1', '-n', release])
      await waitForBoth(release)
    })

    expect(await imagesOf(release)).toEqual([`${older.image}:${olderVersion}`])
  }, 600_000)
})
