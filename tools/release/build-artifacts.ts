/** Builds every artifact of a release except signatures. The same commit and the same packages give the same bytes. */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { architectures } from '../../deploy/image/architecture.ts'
import { buildBerthImage } from '../../deploy/image/berth-image.ts'
import { debianLibraries } from '../../deploy/image/debian-libraries.ts'
import { programFiles } from '../../deploy/image/files.ts'
import { nodeProgram, nodeVersion } from '../../deploy/image/node-program.ts'
import type { NamedArtifact } from '../../deploy/image/oci.ts'
import type { TarEntry } from '../../deploy/image/tar.ts'
import { createArchive, entriesOf, replaceText } from './archive.ts'
import { packageChart } from './chart.ts'
import { buildExecutables } from './executable/executable.ts'
import { pluginManifest } from './krew.ts'
import { packNpmPackage } from './npm-package.ts'
import type { Materials } from './provenance.ts'
import { createSbom, npmSbom } from './sbom.ts'
import type { Source } from './source.ts'

export interface BuildOptions {
  readonly registry: string
  /** The address of the files for users, without a slash at the end. */
  readonly download: string
  /** An empty directory. */
  readonly out: string
}

export interface Artifacts {
  readonly image: NamedArtifact
  readonly chart: NamedArtifact
  readonly sbom: string
  readonly materials: Materials
}

/** Writes the files into `out`. The images are in the result. */
export async function buildArtifacts(
  root: string,
  source: Source,
  { registry, download, out }: BuildOptions,
): Promise<Artifacts> {
  const { version, date } = source
  const file = (suffix: string) => join(out, `berth-${version}-${suffix}`)
  const program = programFiles(root)
  const repository = `${registry}/berth`
  const image = await buildBerthImage(root, { architectures, created: date, program })
  const chart = await packageChart(root, repository, source)
  writeFileSync(file('chart.tgz'), chart.archive)
  packNpmPackage(root, program, file('npm.tgz'))
  writeFileSync(file('manifests.tar.gz'), await packManifests(root, repository, version))
  const archives = await writeExecutables(root, program, file)
  const platforms = archives.map(({ architecture, name, sha256 }) => ({
    architecture,
    url: `${download}/${name}`,
    sha256,
  }))
  writeFileSync(join(out, 'berth.yaml'), pluginManifest(version, platforms))
  const materials = readMaterials(root)
  const sbom = createSbom(npmSbom(root), materials, source)
  writeFileSync(file('sbom.cdx.json'), sbom)
  return {
    image: { name: `${repository}:${version}`, artifact: image },
    chart: { name: `${registry}/charts/berth:${version}`, artifact: chart.artifact },
    sbom,
    materials,
  }
}

/** The kustomizations of deploy/ with the image of this release, for `kubectl apply -k`. */
async function packManifests(root: string, repository: string, version: string): Promise<Buffer> {
  const prefix = `berth-${version}`
  const entries = ['deploy/base', 'deploy/components', 'deploy/overlays', 'webhook-config'].flatMap(
    (directory) => entriesOf(join(root, directory), `${prefix}/${directory}`),
  )
  return createArchive(replaceText(entries, 'berth.invalid/berth:', `${repository}:`))
}

/** Writes an archive for each architecture, with the licences of what is in the executable. */
async function writeExecutables(
  root: string,
  program: readonly TarEntry[],
  file: (suffix: string) => string,
) {
  const executables = await buildExecutables(root, architectures)
  const licences = program
    .filter(({ path }) => path.endsWith('/LICENSE') || path.endsWith('/THIRD-PARTY-LICENSES.txt'))
    .map((entry) => ({ ...entry, path: entry.path.replace(/^.*\//, '') }))
  const archives = []
  for (const [architecture, content] of executables) {
    const archive = await createArchive([{ path: 'berth', mode: 0o755, content }, ...licences])
    const path = file(`linux-${architecture}.tar.gz`)
    writeFileSync(path, archive)
    archives.push({ architecture, name: path.replace(/^.*\//, ''), sha256: sha256Of(archive) })
  }
  return archives
}

function readMaterials(root: string): Materials {
  return {
    nodeVersion: nodeVersion(root),
    nodePrograms: Object.fromEntries(
      architectures.map((each) => [each, sha256Of(readFileSync(nodeProgram(root, each)))]),
    ),
    debianPackages: architectures.flatMap((each) => debianLibraries(root, each).packages),
  }
}

/** In hexadecimal. */
export function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
