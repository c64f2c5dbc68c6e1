/**
 * `npm run image`: builds the image of deploy/Dockerfile without a container engine, for this machine's architecture.
 * Writes an OCI layout to dist/image and prints its digest. The same sources and packages give the same digest.
 *
 *   npm run image [-- [--out DIR] [--push HOST/REPOSITORY:TAG [--plain-http]]]
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { command, entrypoint } from './entrypoint.ts'
import { programFiles, readPackageInfo, runtimeFiles, userId } from './files.ts'
import { createImage, createLayer, writeLayout } from './oci.ts'
import { parsePushTarget, pushImage } from './push.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
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

const info = readPackageInfo(root)
const annotations = {
  'org.opencontainers.image.title': info.name,
  'org.opencontainers.image.description': info.description,
  'org.opencontainers.image.version': info.version,
  'org.opencontainers.image.licenses': info.license,
}
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const cache = join(root, 'node_modules/.cache/berth-image')
const layers = [
  await createLayer(runtimeFiles(root), 'Node.js and its libraries', cache),
  await createLayer(programFiles(root), 'Berth and its packages', cache),
]
const image = createImage(layers, {
  architecture,
  // SOURCE_DATE_EPOCH is the convention of reproducible-builds.org; the default is 1970-01-01.
  created: new Date(Number(process.env['SOURCE_DATE_EPOCH'] ?? 0) * 1000),
  config: {
    User: `${userId}:${userId}`,
    WorkingDir: '/app',
    Env: ['PATH=/nodejs/bin', 'NODE_ENV=production'],
    Entrypoint: entrypoint,
    Cmd: command,
    ExposedPorts: { '8443/tcp': {}, '8080/tcp': {} },
    Labels: annotations,
  },
  annotations,
})
rmSync(values.out, { recursive: true, force: true })
writeLayout(values.out, image, { os: 'linux', architecture }, info.version)
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
for (const { createdBy, content } of layers)
  console.error(`${megabytes(content.length).padStart(8)}  ${createdBy}`)
if (target !== null) await pushImage(target, image)
console.log(image.manifest.digest)
