import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import {
  createImage,
  createLayer,
  createMultiPlatform,
  writeLayout,
} from '../../deploy/image/oci.ts'
import { packageChart } from '../../tools/release/chart.ts'
import { pushLayout } from '../../tools/release/push.ts'
import { createSigner, signatureTag, signImage } from '../../tools/release/signing.ts'
import { startStore } from '../support/store-registry.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

it('pushes an index, a chart and a signature under their names', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-release-'))
  const store = await startStore()
  const files = [{ path: 'app/main.js', mode: 0o644, content: Buffer.from('x') }]
  const layer = await createLayer(files, 'Berth', join(directory, 'cache'))
  const [amd64, arm64] = ['amd64', 'arm64'].map((architecture) =>
    createImage([layer], { architecture, created: new Date(0), config: {}, annotations: {} }),
  )
  if (amd64 === undefined || arm64 === undefined) throw new Error('no images')
  const artifact = createMultiPlatform([amd64, arm64], {})
  const chart = await packageChart(root, 'berth.invalid/berth', {
    version: '1.0.0',
    date: new Date(0),
  })
  const { digest } = artifact.root
  const signature = signImage('berth.invalid/berth', digest, createSigner(null))
  const artifacts = [
    { name: 'berth.invalid/berth:1.0.0', artifact },
    { name: 'berth.invalid/charts/berth:1.0.0', artifact: chart.artifact },
    { name: `berth.invalid/berth:${signatureTag(digest, 'sig')}`, artifact: signature },
  ]
  const layout = join(directory, 'layout')
  writeLayout(layout, artifacts)

  const names = artifacts.map(({ name }) => name)
  await pushLayout({ layout, names, endpoint: `http://${store.host}` })
  const digestOf = async (path: string) => {
    const response = await fetch(`http://${store.host}/v2/${path}`, { method: 'HEAD' })
    return response.headers.get('docker-content-digest')
  }

  expect(await digestOf('berth/manifests/1.0.0')).toBe(digest)
  expect(await digestOf('charts/berth/manifests/1.0.0')).toBe(chart.artifact.root.digest)
  expect(await digestOf(`berth/manifests/${signatureTag(digest, 'sig')}`)).toBe(
    signature.root.digest,
  )
  await store.close()
  rmSync(directory, { recursive: true })
}, 120_000)
