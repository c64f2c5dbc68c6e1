/** How policy engines spell the name of an image before they compare it with globs. Pure. */
import type { WildcardSyntax } from './wildcard.ts'

export interface PolicyEngine {
  readonly syntax: WildcardSyntax
  /** Returns the image of a pod as the engine compares it with globs. */
  readonly nameOf: (image: string) => string
  /** How the names of images of Docker Hub begin; the empty text is for names without a host. */
  readonly hubPrefixes: readonly string[]
}

interface ImageParts {
  /** Empty if the image names none. */
  readonly host: string
  readonly path: string
  readonly tag: string
  readonly digest: string
}

/** Splits as distribution/reference does, which adds nothing that is not in the text. */
function splitImage(image: string): ImageParts {
  const [, name = image, digest = ''] = /^([^@]*)@(.*)$/s.exec(image) ?? []
  const [, repository = name, tag = ''] = /^(.*):([^:/]*)$/s.exec(name) ?? []
  const slash = repository.indexOf('/')
  const first = repository.slice(0, Math.max(slash, 0))
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const host = isHost ? first : ''
  return { host, path: isHost ? repository.slice(slash + 1) : repository, tag, digest }
}

/** An image with a digest has no tag in the names of Kyverno and policy-controller. */
function suffixOf({ tag, digest }: ImageParts): string {
  return digest === '' ? `:${tag === '' ? 'latest' : tag}` : `@${digest}`
}

/** ClusterPolicy and Policy (Kyverno, pkg/utils/image, ImageInfo.String): `docker.io/nginx:latest`, without `library/`. */
export const kyvernoRules: PolicyEngine = {
  syntax: 'kyverno',
  nameOf: (image) => {
    const parts = splitImage(image)
    return `${parts.host === '' ? 'docker.io' : parts.host}/${parts.path}${suffixOf(parts)}`
  },
  hubPrefixes: ['docker.io/', 'index.docker.io/'],
}

/** The patterns of validate rules, which compare the text of the pod. */
export const kyvernoPatterns: PolicyEngine = {
  syntax: 'kyverno',
  nameOf: (image) => image,
  hubPrefixes: ['docker.io/', 'index.docker.io/', ''],
}

/** ImageValidatingPolicy compares the text of the pod (Kyverno, pkg/cel/compiler/image.go). */
export const kyvernoImagePolicies: PolicyEngine = { ...kyvernoPatterns, syntax: 'gobwas' }

/** ClusterImagePolicy (policy-controller, pkg/apis/glob): `index.docker.io/library/nginx:latest`. */
export const policyController: PolicyEngine = {
  syntax: 'sigstore',
  nameOf: (image) => {
    const parts = splitImage(image)
    const isHub = ['', 'docker.io', 'index.docker.io'].includes(parts.host)
    const path = isHub && !parts.path.includes('/') ? `library/${parts.path}` : parts.path
    return `${isHub ? 'index.docker.io' : parts.host}/${path}${suffixOf(parts)}`
  },
  hubPrefixes: ['index.docker.io/'],
}
