import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { keylessCommands } from '../../tools/release/keyless.ts'
import { pluginManifest } from '../../tools/release/krew.ts'
import { createProvenance } from '../../tools/release/provenance.ts'
import { createSbom, type NpmSbom } from '../../tools/release/sbom.ts'

const date = new Date('2026-01-02T03:04:05Z')
const debianPackages = [
  { name: 'libc6', version: '2.36-9+deb12u14', architecture: 'arm64', sha256: 'cc' },
] as const

describe('createSbom', () => {
  const npm = (timestamp: string, serialNumber: string, directory: string): NpmSbom => ({
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber,
    version: 1,
    metadata: { timestamp, component: { name: directory, version: '1.2.3' } },
    components: [
      {
        name: 'undici',
        version: '8.0.0',
        externalReferences: [{ type: 'distribution', url: 'http://registry.internal/undici' }],
      },
    ],
    dependencies: [],
  })
  const sbom = (...args: Parameters<typeof npm>) =>
    createSbom(npm(...args), { nodeVersion: '24.0.0', debianPackages }, { date })

  it('has the same bytes for the same packages', () => {
    const one = sbom('2026-11-29T10:00:00Z', 'urn:uuid:1', 'checkout')

    expect(sbom('2027-01-01T00:00:00Z', 'urn:uuid:2', 'clone')).toBe(one)
  })

  it('lists npm packages without addresses, Node.js and Debian packages', () => {
    const text = sbom('2026-11-29T10:00:00Z', 'urn:uuid:1', 'checkout')

    expect(text).not.toContain('registry.internal')
    expect(JSON.parse(text)).toMatchObject({
      serialNumber: expect.stringMatching(
        /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/,
      ) as string,
      metadata: { timestamp: date.toISOString(), component: { name: 'berth', version: '1.2.3' } },
      components: [
        { name: 'undici' },
        { name: 'node', version: '24.0.0' },
        { purl: 'pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64' },
      ],
    })
  })
})

describe('createProvenance', () => {
  const source = { version: '1.2.3', commit: 'c0ffee', date, tags: [], isDirty: true }
  const materials = { nodeVersion: '24.0.0', nodePrograms: { arm64: 'aa' }, debianPackages }
  const provenance = (env: NodeJS.ProcessEnv) =>
    createProvenance(source, { registry: 'ghcr.io/acme', dryRun: true }, materials, env)

  it('says that a person built it, from changed sources', () => {
    expect(provenance({})).toMatchObject({
      buildDefinition: {
        externalParameters: { version: '1.2.3', registry: 'ghcr.io/acme', dryRun: true },
        resolvedDependencies: [
          { digest: { gitCommit: 'c0ffee' }, annotations: { hasUncommittedChanges: true } },
          { uri: 'pkg:generic/node@24.0.0?arch=arm64', digest: { sha256: 'aa' } },
          {
            uri: 'pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64',
            digest: { sha256: 'cc' },
          },
        ],
      },
      runDetails: { builder: { id: 'urn:berth:builder:local' } },
    })
  })

  it('names the workflow and the run on GitHub', () => {
    const env = {
      GITHUB_ACTIONS: 'true',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_REPOSITORY: 'acme/berth',
      GITHUB_WORKFLOW_REF: 'acme/berth/.github/workflows/release.yml@refs/tags/v1.2.3',
      GITHUB_RUN_ID: '7',
      GITHUB_RUN_ATTEMPT: '2',
    }

    expect(provenance(env)).toMatchObject({
      runDetails: {
        builder: { id: `https://github.com/${env.GITHUB_WORKFLOW_REF}` },
        metadata: { invocationId: 'https://github.com/acme/berth/actions/runs/7/attempts/2' },
      },
    })
  })
})

describe('pluginManifest', () => {
  it('lists the archive of each architecture', () => {
    const archives = [
      { architecture: 'amd64', url: 'https://example.com/a.tar.gz', sha256: 'aa' },
      { architecture: 'arm64', url: 'https://example.com/b.tar.gz', sha256: 'bb' },
    ] as const

    expect(parse(pluginManifest('1.2.3', archives))).toMatchObject({
      metadata: { name: 'berth' },
      spec: {
        version: 'v1.2.3',
        platforms: [
          {
            selector: { matchLabels: { os: 'linux', arch: 'amd64' } },
            uri: 'https://example.com/a.tar.gz',
            sha256: 'aa',
            bin: 'berth',
          },
          { selector: { matchLabels: { os: 'linux', arch: 'arm64' } }, sha256: 'bb' },
        ],
      },
    })
  })
})

describe('keylessCommands', () => {
  it('sign both images, attest the image of Berth, and sign the checksums', () => {
    const subjects = {
      images: ['r/berth@sha256:1', 'r/charts/berth@sha256:2'],
      image: 'r/berth@sha256:1',
      predicates: { slsaprovenance1: '{}', cyclonedx: '{}' },
      checksums: 'SHA256SUMS',
      bundle: 'SHA256SUMS.sigstore.json',
    }

    expect(
      keylessCommands(subjects, (type) => `${type}.json`).map((args) => args.join(' ')),
    ).toEqual([
      'sign --yes r/berth@sha256:1',
      'sign --yes r/charts/berth@sha256:2',
      'attest --yes --type=slsaprovenance1 --predicate=slsaprovenance1.json r/berth@sha256:1',
      'attest --yes --type=cyclonedx --predicate=cyclonedx.json r/berth@sha256:1',
      'sign-blob --yes --bundle=SHA256SUMS.sigstore.json SHA256SUMS',
    ])
  })
})
