import type { EcrSettings } from '../aws/ecr-settings.ts'
import type { ImagePattern } from '../decision/fallback/image-pattern.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { ImageLock } from '../decision/lock/image-lock.ts'
import type { CopySettings } from './copy-settings.ts'
import type { Reference } from '../decision/reference/reference.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { ConfigProblem } from './problem.ts'

export type PullPolicyName = 'Always' | 'IfNotPresent' | 'Never'

/** A config file after every check, defaults filled in, patterns compiled. Frozen: a change makes a new one. */
export interface Config {
  /** The text that it was made of. */
  readonly source: string
  /** Every host that Berth may contact: those listed, and those that stand in a `try`. */
  readonly registries: ReadonlyMap<string, RegistrySettings>
  readonly table: FallbackTable
  readonly pin: {
    readonly matches: (tag: string) => boolean
    readonly unresolved: 'keep' | 'deny'
    /** The digest that the lock file has for an image; null where it has none. */
    readonly locked: (reference: Reference) => string | null
  }
  /** The lock file; its text is null while there is none. */
  readonly lock: {
    readonly file: string
    readonly source: string | null
    readonly images: ImageLock
  } | null
  readonly pullPolicy: readonly {
    readonly images: readonly ImagePattern[]
    readonly set: PullPolicyName
  }[]
  readonly pullSecrets: readonly {
    readonly secret: string
    readonly matches: (image: Reference) => boolean
  }[]
  readonly ecrTokens: readonly EcrTokenSecret[]
  readonly pullFailures: {
    readonly report: boolean
    /** Whether the pull secrets of pods that fail are read. */
    readonly readSecrets: boolean
  }
  /** Kinds beside the built-in ones. */
  readonly workloads: readonly Workload[]
  readonly mirror: MirrorSettings
  readonly pullSecretCopies: {
    readonly copies: readonly CopySettings[]
    readonly stuckPods: 'report' | 'recreate'
    readonly rbac: 'cluster' | 'namespaced'
  }
  readonly mode: 'enforce' | 'observe'
  readonly tests: readonly ConfigTest[]
  readonly warnings: readonly ConfigProblem[]
}

/** An entry of `ecrTokens:`: a pull secret, and who fetches the token of each of its hosts. */
export interface EcrTokenSecret {
  readonly secret: string
  readonly registries: readonly { readonly host: string; readonly ecr: EcrSettings }[]
}

/** An entry of `workloads:`, its paths taken apart; `[]` is each item of a list. */
export interface Workload {
  /** `group/Kind`. */
  readonly kind: string
  /** Null when the kind has no pod template. */
  readonly pod: readonly string[] | null
  readonly images: readonly (readonly string[])[]
}

/** The `mirror` section. */
export interface MirrorSettings {
  readonly images: readonly MirrorImage[]
  readonly referrers: boolean
  readonly quotaFloor: number
  /** Whether repositories that ECR lacks are made. */
  readonly createRepositories: boolean
  /** Whether the controller copies what pods run. */
  readonly running: boolean
  /** Empty: all. */
  readonly namespaces: readonly string[]
  readonly atOnce: number
}

/** A repository and which of its tags are copied, or one image. */
export interface MirrorImage {
  readonly reference: Reference
  /** Tags that are named in full. With nothing but these no list of tags has to be asked for. */
  readonly named: readonly string[]
  readonly matches: (tag: string) => boolean
  /** True when there is a glob, a range or a number: the registry's list of tags decides. */
  readonly isOpen: boolean
  readonly semver: string | null
  readonly newest: number | null
}

/** An entry of `tests:`. */
export interface ConfigTest {
  /** Where it stands in the file, counted from one. */
  readonly line: number | null
  readonly column: number | null
  readonly image: string
  readonly namespace: string
  readonly expect: string
  /** Undefined when the test does not say; null when it says that no row matches. */
  readonly row?: string | null | undefined
  /** Pull secrets that are added; undefined when the test does not say. */
  readonly secrets?: readonly string[] | undefined
}
