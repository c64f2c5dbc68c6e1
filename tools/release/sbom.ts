/** Writes the software bill of materials, in CycloneDX, with all npm packages, Node.js and the libraries of the image. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import type { DebianPackage } from '../../deploy/image/debian-libraries.ts'
import type { Source } from './source.ts'

interface Component {
  readonly externalReferences?: unknown
  readonly [field: string]: unknown
}

export interface NpmSbom {
  readonly metadata: { readonly component: Component; readonly [field: string]: unknown }
  readonly components: readonly Component[]
  readonly [field: string]: unknown
}

export interface SbomContent {
  readonly nodeVersion: string
  readonly debianPackages: readonly DebianPackage[]
}

/** Returns what npm writes for the dependencies in the lock file. */
export function npmSbom(root: string): NpmSbom {
  const args = ['sbom', '--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only']
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 } as const
  return JSON.parse(execFileSync('npm', args, options)) as NpmSbom
}

/**
 * Returns the document. npm writes the time, a random serial number and the address of the registry on this machine, which
 * would make each document different, so the date is the commit's, the number a hash, and the addresses are left out.
 */
export function createSbom(
  npm: NpmSbom,
  { nodeVersion, debianPackages }: SbomContent,
  { date }: Pick<Source, 'date'>,
): string {
  const components = [
    ...npm.components.map(withoutAddresses),
    {
      type: 'application',
      'bom-ref': `node@${nodeVersion}`,
      name: 'node',
      version: nodeVersion,
      purl: `pkg:generic/node@${nodeVersion}`,
      licenses: [{ license: { id: 'MIT' } }],
    },
    ...debianPackages.map(debianComponent),
  ]
  const { $schema, bomFormat, specVersion, version, dependencies } = npm
  const metadata = {
    ...npm.metadata,
    timestamp: date.toISOString(),
    // npm takes the name of the directory.
    component: { ...withoutAddresses(npm.metadata.component), name: 'berth' },
  }
  const content = { version, metadata, components, dependencies }
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(content))}`
  return `${JSON.stringify({ $schema, bomFormat, specVersion, serialNumber, ...content }, null, 2)}\n`
}

function withoutAddresses(component: Component): Component {
  return { ...component, externalReferences: [] }
}

function debianComponent({ name, version, architecture }: DebianPackage): Component {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`
  return { type: 'library', 'bom-ref': purl, name, version, purl }
}

/** A UUID of version 8 (RFC 9562), from a hash. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ]
  return [...parts, hex.slice(20, 32)].join('-')
}
