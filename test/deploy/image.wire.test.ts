import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  createImage,
  createLayer,
  createMultiPlatform,
  writeLayout,
} from '../../deploy/image/oci.ts'
import { berth } from '../support/io.ts'
import { startStore } from '../support/store-registry.ts'

it('writes a layout of the image that berth mirror pushes to a registry', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-image-'))
  const store = await startStore()
  const file = { path: 'app/main.js', mode: 0o644, content: Buffer.from('x') }
  const layers = [await createLayer([file], 'Berth', join(directory, 'cache'))]
  const settings = { architecture: 'amd64', created: new Date(0), config: {}, annotations: {} }
  const image = createImage(layers, settings)
  const layout = join(directory, 'layout')
  writeLayout(layout, [{ name: 'berth:0.2.0', artifact: createMultiPlatform([image], {}) }])

  const names = ['berth:0.2.0', `${store.host}/tools/berth:0.2.0`]
  const { code, stdout, stderr } = await berth(['mirror', ...names, '--from', `oci:${layout}`])
  await store.close()
  rmSync(directory, { recursive: true })

  expect([code, stderr]).toEqual([0, expect.stringContaining('1 copied')])
  expect(stdout).toContain(`copied: ${image.manifest.digest.slice(0, 19)}`)
})
