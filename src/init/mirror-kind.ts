/** Recognizes the product behind a registry: by its host name, and by what it answers to an anonymous request. Pure. */
import { parseEcrHost } from '../aws/ecr-host.ts'

export type MirrorKind = keyof typeof mirrorKinds

interface KindFacts {
  readonly title: string
  /** What each path has to begin with, such as a project that exists; null if paths are free. */
  readonly path: { readonly name: string; readonly segments: number } | null
}

/** The products, and what the paths of their images begin with (their own documentation). */
export const mirrorKinds = {
  'docker-registry': { title: 'a plain registry (docker-registry, distribution)', path: null },
  microk8s: { title: 'the registry add-on of MicroK8s', path: null },
  harbor: { title: 'Harbor', path: { name: 'PROJECT', segments: 1 } },
  artifactory: { title: 'Artifactory', path: { name: 'REPOSITORY', segments: 1 } },
  nexus: { title: 'Nexus', path: null },
  quay: { title: 'Quay', path: { name: 'ORGANIZATION', segments: 1 } },
  ecr: { title: 'Amazon ECR', path: null },
  acr: { title: 'Azure Container Registry', path: null },
  gar: { title: 'Google Artifact Registry', path: { name: 'PROJECT/REPOSITORY', segments: 2 } },
  ghcr: { title: 'GitHub Container Registry', path: { name: 'OWNER', segments: 1 } },
  other: { title: 'a registry that Berth does not know', path: null },
} as const satisfies Readonly<Record<string, KindFacts>>

/** The registry add-on of MicroK8s listens on this port of each node (microk8s-core-addons, addons/registry). */
export const microk8sHost = 'localhost:32000'

const hostPatterns: readonly (readonly [RegExp, MirrorKind])[] = [
  [/^ghcr\.io$/, 'ghcr'],
  [/^quay\.io$/, 'quay'],
  [/\.azurecr\.(?:io|cn|us)$/, 'acr'],
  [/-docker\.pkg\.dev$/, 'gar'],
  [/\.jfrog\.io$/, 'artifactory'],
]

/** Returns the product that a host name belongs to; null if the name does not tell. */
export function kindOfHost(host: string): MirrorKind | null {
  const lower = host.toLowerCase()
  if (lower === microk8sHost) return 'microk8s'
  if (parseEcrHost(lower)?.kind === 'private') return 'ecr'
  return hostPatterns.find(([pattern]) => pattern.test(lower))?.[1] ?? null
}

/** What a registry answers to an anonymous `GET /v2/`. */
export interface VersionAnswer {
  readonly status: number
  /** The values of a header, by its name in lower case. */
  readonly header: (name: string) => readonly string[]
  /** Parameters of the challenge of a 401, by name. */
  readonly challenge: ReadonlyMap<string, string>
}

/**
 * Returns the product; null if the answer does not tell. Artifactory sends its version in every answer
 * (`X-JFrog-Version: Artifactory/7.98.9`, older ones `X-Artifactory-Id`), and Nexus in `Server: Nexus/3.70.1-02 (OSS)`.
 * Harbor names its token service (harbor, src/server/middleware/v2auth/auth.go), and Quay has its token server at /v2/auth.
 */
export function kindOfAnswer({ header, challenge }: VersionAnswer): MirrorKind | null {
  const begins = (name: string, start: string) =>
    header(name).some((value) => value.toLowerCase().startsWith(start))
  const realm = challenge.get('realm') ?? ''
  if (begins('x-jfrog-version', '') || begins('x-artifactory-id', '')) return 'artifactory'
  if (begins('server', 'nexus/') || /sonatype nexus/i.test(realm)) return 'nexus'
  if (challenge.get('service') === 'harbor-registry') return 'harbor'
  return URL.canParse(realm) && new URL(realm).pathname === '/v2/auth' ? 'quay' : null
}

/**
 * Returns true for the answer of Harbor to `GET /api/v2.0/systeminfo`: an object with `auth_mode`, which anonymous callers get
 * too (harbor, api/v2.0/swagger.yaml, GeneralInfo).
 */
export function isHarborInfo(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'auth_mode' in body
}

/** True if the answer is that of a registry (distribution-spec, "Determining Support"). */
export function isRegistryAnswer({ status, header }: VersionAnswer): boolean {
  const [version = ''] = header('docker-distribution-api-version')
  const isJson = header('content-type').some((type) => type.startsWith('application/json'))
  return version.startsWith('registry/') || ((status === 200 || status === 401) && isJson)
}
