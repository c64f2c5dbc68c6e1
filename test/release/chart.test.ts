import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { extract } from 'tar-stream'
import { packageChart } from '../../tools/release/chart.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = { version: '1.2.3', date: new Date(0) }

/** The text of each file in an archive. */
async function filesOf(archive: Buffer): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  const reader = extract()
  reader.end(gunzipSync(archive))
  for await (const entry of reader) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    files.set(entry.header.name, Buffer.concat(chunks).toString())
  }
  return files
}

it('packages the chart with the image of the release, and with the same bytes each time', async () => {
  const chart = await packageChart(root, 'ghcr.io/acme/berth', source)
  const files = await filesOf(chart.archive)

  expect(files.get('berth/values.yaml')).toContain('  repository: ghcr.io/acme/berth\n')
  expect(files.get('berth/Chart.yaml')).toMatch(/^ +image: ghcr\.io\/acme\/berth:\d/m)
  expect([...files.values()].join('')).not.toContain('image: berth.invalid')
  expect(files.get('berth/templates/webhook.yaml')).toContain('kind: Deployment')
  expect((await packageChart(root, 'ghcr.io/acme/berth', source)).archive).toEqual(chart.archive)
})

it('describes the chart in the config of the artifact', async () => {
  const { archive, artifact } = await packageChart(root, 'ghcr.io/acme/berth', source)
  const [config, layer] = artifact.blobs

  expect(JSON.parse(config?.content.toString() ?? '')).toMatchObject({
    name: 'berth',
    type: 'application',
  })
  expect(layer?.content).toEqual(archive)
  expect(JSON.parse(artifact.root.content.toString())).toMatchObject({
    config: { mediaType: 'application/vnd.cncf.helm.config.v1+json' },
    layers: [{ mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip' }],
  })
})
