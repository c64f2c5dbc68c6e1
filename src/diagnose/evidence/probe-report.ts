/** What Berth observed at an image's registry, asked from the machine that it runs on and never from the node. Pure. */
import type { CertificateFacts, EndpointFault } from '../../registry/probe/endpoint-probe.ts'
import type { ProbeResult } from '../../registry/probe/registry-probe.ts'

/** One request for the image's manifest with one identity. */
export interface ProbeAttempt extends ProbeResult {
  /** `pod`: a credential that the kubelet would send. `other`: a credential of Berth's config or of the cluster's global pull secret, which the pod does not have. */
  readonly by: 'anonymous' | 'pod' | 'other'
  /** For people: `secret a, key b`. */
  readonly source: string
  readonly secret: string | null
}

/** The observations at the registry of one image. */
export interface ProbeReport {
  /** The URL that was asked: `https://registry-1.docker.io`. */
  readonly endpoint: string
  /** The image's path there. */
  readonly repository: string
  /** The proxy of this machine that was used; null for a direct connection. */
  readonly proxy: string | null
  /** What is wrong with the proxy, for the fault `proxy`. */
  readonly proxyError: string | null
  readonly addresses: readonly string[]
  readonly fault: EndpointFault | null
  readonly certificate: CertificateFacts | null
  /** Empty when the registry could not be reached. */
  readonly attempts: readonly ProbeAttempt[]
  /** The repository's tags; null when not asked, or without an answer. */
  readonly tags: readonly string[] | 'absent' | null
  /** Existing tags that are similar to the missing one; each was found by a request. */
  readonly similarTags: readonly string[]
  readonly quota: { readonly limit: string; readonly remaining: string } | null
  /** The platforms of an index: `linux/arm64`. Null for an image of one platform, and when not asked. */
  readonly platforms: readonly string[] | null
  readonly blobs: { readonly asked: number; readonly missing: readonly string[] } | null
}
