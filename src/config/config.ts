/** The config after all checks: defaults filled in, patterns compiled. */
import type { EcrSettings } from '../aws/ecr-settings.ts'
import type { ImagePattern } from '../decision/fallback/image-pattern.ts'
import type { PodCondition } from '../decision/fallback/pod-condition.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { ImageLock } from '../decision/lock/image-lock.ts'
import type { CopySettings } from './copy-settings.ts'
import type { Reference } from '../decision/reference/reference.ts'
import type { PinPolicy } from '../decision/resolve/resolve-policy.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { ConfigProblem } from './problem.ts'

export type PullPolicyName = 'Always' | 'IfNotPresent' | 'Never'

/** A valid config. Frozen: a reload creates a new one. */
export interface Config {
  /** The text of the file. */
  readonly source: string
  /** Every host that Berth may contact: those in `registries`, and those in a `try`. */
  readonly registries: ReadonlyMap<string, RegistrySettings>
  readonly table: FallbackTable
  /** Its `locked` returns the digest of an image in the lock file. */
  readonly pin: PinPolicy & Required<Pick<PinPolicy, 'locked' | 'when'>>
  /** The lock file; null without `pin.lock`. Its text is null while the file does not exist. */
  readonly lock: {
    readonly file: string
    readonly source: string | null
    readonly images: ImageLock
  } | null
  readonly pullPolicy: readonly {
    readonly images: readonly ImagePattern[]
    readonly when: PodCondition | null
    readonly set: PullPolicyName
  }[]
  readonly pullSecrets: readonly {
    readonly secret: string
    readonly when: PodCondition | null
    readonly matches: (image: Reference) => boolean
  }[]
  readonly ecrTokens: readonly EcrTokenSecret[]
  /** Owners that recreate pods because Berth changed their images: whether to report them, and to leave their pods alone. */
  readonly conflicts: 'report' | 'leave' | 'ignore'
  readonly pullFailures: {
    readonly report: boolean
    /** Whether Berth reads the pull secrets of pods that cannot pull. */
    readonly readSecrets: boolean
  }
  /** What the controller does about pods that cannot pull an image which new pods would not get; null for nothing. */
  readonly stuckPods: 'report' | 'recreate' | null
  /** What the controller does about pods that Berth has not processed; null for nothing. */
  readonly unprocessed: 'report' | 'restart' | null
  /** How often the controller checks that the images that pods run still exist; null for never. */
  readonly availability: { readonly intervalMs: number; readonly perMinute: number } | null
  /** Whether the controller keeps a Report of OpenReports in each namespace. */
  readonly reports: { readonly openReports: boolean }
  /** Kinds with pods or images, in addition to the built-in ones. */
  readonly workloads: readonly Workload[]
  readonly mirror: MirrorSettings
  readonly pullSecretCopies: {
    readonly copies: readonly CopySettings[]
    readonly stuckPods: 'report' | 'recreate'
    readonly rbac: 'cluster' | 'namespaced'
    readonly writesPerSecond: number
  }
  readonly mode: 'enforce' | 'observe'
  readonly tests: readonly ConfigTest[]
  readonly warnings: readonly ConfigProblem[]
}

/** An entry of `ecrTokens`: a pull secret, and how to fetch the token for each of its hosts. */
export interface EcrTokenSecret {
  readonly secret: string
  readonly registries: readonly { readonly host: string; readonly ecr: EcrSettings }[]
}

/** A kind with pods or images. Its paths are lists of members; `[]` means each item of a list, and `*` each member of a map. */
export interface Workload {
  /** `group/Kind`. */
  readonly kind: string
  /** The paths of pod templates. */
  readonly pods: readonly (readonly string[])[]
  readonly images: readonly (readonly string[])[]
}

/** The `mirror` section. */
export interface MirrorSettings {
  readonly images: readonly MirrorImage[]
  /** What to verify before a copy. The first entry that matches the image decides. */
  readonly verify: readonly VerifyRule[]
  /** Whether to copy signatures, SBOMs and attestations too. */
  readonly referrers: boolean
  /** Whether to download foreign layers that the source does not have from the URLs in their manifest. */
  readonly foreignLayers: boolean
  /** Berth stops pulling when an upstream allows only this many more manifests. */
  readonly quotaFloor: number
  /** Whether Berth creates missing repositories on Amazon ECR. */
  readonly createRepositories: boolean
  /** Whether the controller copies the images of running pods. */
  readonly running: boolean
  /** Namespaces whose pods count for `running`; empty for all. */
  readonly namespaces: readonly string[]
  /** Maximum number of images that the controller copies in parallel. */
  readonly atOnce: number
}

/** An entry of `mirror.verify`. */
export interface VerifyRule {
  /** The entry as messages name it, such as `mirror.verify[0]`. */
  readonly name: string
  /** By the name of the image upstream. */
  readonly images: readonly ImagePattern[]
  /** Null: the image need not be signed. */
  readonly cosign: CosignRule | null
  /** Null: the image may have any age. */
  readonly minAgeMs: number | null
}

/** Who must have signed an image. */
export type CosignRule =
  | { readonly kind: 'key'; readonly source: TrustSource }
  | {
      readonly kind: 'identity'
      /** As in the config. */
      readonly identity: string
      readonly issuer: string
      readonly matches: (identity: string) => boolean
      readonly trustedRoot: TrustSource
    }

/** A public key or trusted root: in the config, or in a file. */
export type TrustSource = { readonly text: string } | { readonly file: string }

/** An entry of `mirror.images`: one image, or a repository and which of its tags to copy. */
export interface MirrorImage {
  readonly reference: Reference
  /** The tags, if `tags` has no glob; empty otherwise. */
  readonly literalTags: readonly string[]
  readonly matches: (tag: string) => boolean
  /** Whether the copied tags depend on the registry's list of tags: there is a glob, `semver` or `newest`. */
  readonly needsTagList: boolean
  readonly semver: string | null
  readonly newest: number | null
}

/** An entry of `tests`. */
export interface ConfigTest {
  /** Its place in the file. The first line is 1. */
  readonly line: number | null
  readonly column: number | null
  readonly image: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly owners: readonly string[]
  readonly expect: string
  /** The expected row. Null: no row must match. Undefined: any. */
  readonly row?: string | null | undefined
  /** The pull secrets that Berth must add. Undefined: any. */
  readonly secrets?: readonly string[] | undefined
}
