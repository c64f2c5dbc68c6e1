/**
 * `npm run image`: the image of deploy/Dockerfile without a container engine, for the architecture of this machine.
 * Writes an OCI layout to dist/image and prints its digest, the same each time from the same sources and packages.
 *
 *   npm run image [-- [--out DIR] [--push HOST/REPOSITORY:TAG [--plain-http]]]
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { dependencyFiles, packageFacts, programFiles, runtimeFiles, userId } from './files.ts'
import { imageOf, layerOf, writeLayout } from './oci.ts'
import { push, readTarget } from './push.ts'
import { command, entrypoint } from './start.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'dist/image') },
    push: { type: 'string' },
    'plain-http': { type: 'boolean', default: false },
  },
})
if (process.platform !== 'linux')
  throw new Error('npm run image needs Linux, whose libraries it takes; use deploy/Dockerfile')
// Read before anything is built: a misspelt name is told at once.
const target = values.push === undefined ? null : readTarget(values.push, values['plain-http'])

const facts = packageFacts(root)
const annotations = {
  'org.opencontainers.image.title': facts.name,
  'org.opencontainers.image.description': facts.description,
  'org.opencontainers.image.version': facts.version,
  'org.opencontainers.image.licenses': facts.license,
}
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const cache = join(root, 'node_modules/.cache/berth-image')
const layers = [
  layerOf(runtimeFiles(root), 'Node.js and its libraries', cache),
  layerOf(dependencyFiles(root), 'production dependencies', cache),
  layerOf(programFiles(root), 'Berth', cache),
]
const image = imageOf(layers, {
  architecture,
  // The convention of reproducible builds; without it, a time that means none.
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
writeLayout(values.out, image, { os: 'linux', architecture }, facts.version)
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
for (const { createdBy, content } of layers)
  console.error(`${megabytes(content.length).padStart(8)}  ${createdBy}`)
if (target !== null) await push(target, image)
console.log(image.manifest.digest)
