/**
 * `npm run image`: builds the image of deploy/Dockerfile without a container engine. Writes an OCI layout to dist/image and
 * prints its digest. The same sources and packages give the same digest.
 *
 *   npm run image [-- [--platforms linux/amd64,linux/arm64] [--out DIR] [--push HOST/REPOSITORY:TAG [--plain-http]]]
 *
 * Without --platforms, the image is for this machine, with its own C library.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Architecture, machineArchitecture } from './architecture.ts'
import { buildBerthImage } from './berth-image.ts'
import { programFiles, readPackageInfo } from './files.ts'
import { writeLayout } from './oci.ts'
import { parsePushTarget, pushArtifact } from './push.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    platforms: { type: 'string' },
    out: { type: 'string', default: join(root, 'dist/image') },
    push: { type: 'string' },
    'plain-http': { type: 'boolean', default: false },
  },
})
if (process.platform !== 'linux')
  throw new Error(
    'npm run image runs on Linux only, because it copies the C library of this machine; use deploy/Dockerfile',
  )
// Before the build, so that a wrong name fails at once.
const target = values.push === undefined ? null : parsePushTarget(values.push, values['plain-http'])
const architectures = values.platforms === undefined ? null : parsePlatforms(values.platforms)

const artifact = await buildBerthImage(root, {
  architectures,
  program: programFiles(root),
  // SOURCE_DATE_EPOCH is the convention of reproducible-builds.org; the default is 1970-01-01.
  created: new Date(Number(process.env['SOURCE_DATE_EPOCH'] ?? 0) * 1000),
})
rmSync(values.out, { recursive: true, force: true })
const name = `berth:${readPackageInfo(root).version}`
const [architecture = machineArchitecture, ...more] = architectures ?? []
const platform = more.length === 0 ? { platform: { os: 'linux', architecture } } : {}
writeLayout(values.out, [{ name, artifact, ...platform }])
const megabytes = artifact.blobs.reduce((sum, { content }) => sum + content.length, 0) / 1e6
console.error(`${megabytes.toFixed(1)} MB compressed`)
if (target !== null) await pushArtifact(target, artifact)
console.log(artifact.root.digest)

function parsePlatforms(text: string): Architecture[] {
  return text.split(',').map((platform) => {
    const [, architecture] = /^linux\/(amd64|arm64)$/.exec(platform) ?? []
    if (architecture === undefined)
      throw new Error(`--platforms ${text}: use linux/amd64, linux/arm64 or both`)
    return architecture as Architecture
  })
}
