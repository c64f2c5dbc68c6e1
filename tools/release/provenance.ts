/** Writes the provenance: what was built, from which sources, and where (SLSA provenance v1 in an in-toto statement). */
import type { DebianPackage } from '../../deploy/image/debian-libraries.ts'
import type { Source } from './source.ts'

export const provenanceType = 'https://slsa.dev/provenance/v1'

export interface Subject {
  readonly name: string
  readonly digest: { readonly sha256: string }
}

export interface Materials {
  readonly nodeVersion: string
  /** SHA-256 of the Node.js program of each architecture. */
  readonly nodePrograms: Readonly<Record<string, string>>
  readonly debianPackages: readonly DebianPackage[]
}

/** Returns the predicate. In a GitHub workflow it names the workflow and the run; elsewhere only that a person built it. */
export function createProvenance(
  { version, commit, isDirty }: Source,
  { registry, dryRun }: { readonly registry: string; readonly dryRun: boolean },
  materials: Materials,
  env: NodeJS.ProcessEnv,
): object {
  const server = env['GITHUB_SERVER_URL']
  const repository = env['GITHUB_REPOSITORY']
  const workflow = env['GITHUB_WORKFLOW_REF']
  const isWorkflow = env['GITHUB_ACTIONS'] === 'true' && workflow !== undefined
  const address = isWorkflow ? `git+${server}/${repository}` : 'git+file:.'
  return {
    buildDefinition: {
      buildType: 'urn:berth:release:v1',
      externalParameters: { version, registry, dryRun },
      internalParameters: {},
      resolvedDependencies: [
        {
          uri: `${address}@refs/tags/v${version}`,
          digest: { gitCommit: commit },
          ...(isDirty && { annotations: { hasUncommittedChanges: true } }),
        },
        ...Object.entries(materials.nodePrograms).map(([architecture, sha256]) => ({
          uri: `pkg:generic/node@${materials.nodeVersion}?arch=${architecture}`,
          digest: { sha256 },
        })),
        ...materials.debianPackages.map((each) => ({
          uri: `pkg:deb/debian/${each.name}@${encodeURIComponent(each.version)}?arch=${each.architecture}`,
          digest: { sha256: each.sha256 },
        })),
      ],
    },
    runDetails: {
      builder: { id: isWorkflow ? `${server}/${workflow}` : 'urn:berth:builder:local' },
      ...(isWorkflow && {
        metadata: {
          invocationId: `${server}/${repository}/actions/runs/${env['GITHUB_RUN_ID']}/attempts/${env['GITHUB_RUN_ATTEMPT']}`,
        },
      }),
    },
  }
}

/** Returns an in-toto statement about these subjects (in-toto attestation framework v1). */
export function createStatement(
  subject: readonly Subject[],
  predicateType: string,
  predicate: object,
): object {
  return { _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate }
}
