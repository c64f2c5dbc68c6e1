/** The messages of the console's server to its page. All strings are untrusted; the page renders them as text. */
import type { DecisionDifference } from '../config/compare-decisions.ts'
import type { ConfigProblem } from '../config/problem.ts'
import type { AtRiskLine, AtRiskReport } from '../report/at-risk-report.ts'
import type { MirrorReport, ReportState } from '../report/mirror-report.ts'
import type { PullFinding } from '../diagnose/findings.ts'

/** One image of one namespace, in pods that the config treats alike. */
export interface ImageRow {
  readonly id: string
  /** The image that the pods requested. */
  readonly image: string
  readonly namespace: string
  /** The registry of `image`. */
  readonly upstream: string
  /** The registries of `runs`. */
  readonly sources: readonly string[]
  /** The images that they run, each once. */
  readonly runs: readonly string[]
  readonly pods: number
  /** How many of these pods cannot pull an image. */
  readonly failing: number
  /** The first row that matches, found without a probe; null if none does. */
  readonly row: string | null
  readonly left: boolean
  /** Whether every running image has a digest. */
  readonly pinned: boolean
  readonly onMirror: boolean
  /** Whether a mirror has the image of a new pod. Null if it is not known. */
  readonly mirrored: boolean | null
  /** The image of a new pod. Null if Berth does not change the pod or denies it, and before the check. */
  readonly becomes: string | null
  readonly why: string
  /** How many of these pods Berth has not processed, although a new pod would get another image. */
  readonly unprocessed: number
  /** When the registries were asked, in milliseconds since 1970; null before that. */
  readonly checkedAt: number | null
}

export interface Overview {
  readonly pods: number
  /** Pods with all images from a mirror. */
  readonly podsOnMirror: number
  readonly failingPods: number
  readonly unprocessedPods: number
  readonly images: number
  readonly onMirror: number
  readonly pinned: number
  readonly mirrored: number
  readonly needInternet: number
  /** Images whose registries were not asked yet, or did not answer. */
  readonly unknown: number
  readonly wouldChange: number
  /** Images that Berth does not change, by reason, the most frequent first. */
  readonly unchanged: readonly { readonly why: string; readonly images: number }[]
  /** Pull failures by cause. */
  readonly causes: readonly {
    readonly rule: string
    readonly cause: string
    readonly pods: number
  }[]
}

/** A finding as `berth diagnose -o json` prints it, with a limited number of its failures. */
export interface Finding extends PullFinding {
  readonly id: string
  /** How many containers fail, also those that `failures` leaves out. */
  readonly count: number
  /** When a pull of its pods was first seen to fail, in milliseconds since 1970. */
  readonly since: number
  /** False while registries are asked. */
  readonly isComplete: boolean
}

export type RegistryState = 'ok' | 'limited' | 'dead' | 'unknown'

export interface RegistryHealth {
  readonly host: string
  readonly mirror: boolean
  readonly state: RegistryState
  /** The latest failure. */
  readonly detail: string | null
  readonly at: number | null
}

export interface FlowNode {
  /** Its column and its name. */
  readonly id: string
  readonly column: 'upstream' | 'row' | 'source' | 'namespace'
  readonly name: string
  readonly state: RegistryState
  readonly isMirror: boolean
  /** How many smaller nodes it replaces; 0 for a node with one name. */
  readonly others: number
}

export interface Flow {
  readonly nodes: readonly FlowNode[]
  /** `pods` counts a pod once for each of its images. */
  readonly links: readonly { readonly from: string; readonly to: string; readonly pods: number }[]
}

export interface TableRow {
  readonly name: string
  readonly images: readonly string[]
  readonly try: readonly string[]
  readonly when: string | null
  readonly leave: boolean
  readonly otherwise: string
  /** The images of running pods for which the row is the first that matches. */
  readonly hits: number
  readonly pods: number
}

export interface Table {
  readonly file: string
  /** When the config was read, in milliseconds since 1970. */
  readonly readAt: number
  readonly mode: 'enforce' | 'observe'
  readonly rows: readonly TableRow[]
  /** Images that no row matches. */
  readonly unmatched: number
  readonly warnings: readonly ConfigProblem[]
  readonly registries: readonly RegistryHealth[]
}

export interface Status {
  readonly context: string
  readonly server: string
  /** Null for all namespaces. */
  readonly namespace: string | null
  readonly version: string
  /** False before the first list of pods. */
  readonly isSynced: boolean
  /** Since when the API server has not answered, in milliseconds since 1970; null while it answers. */
  readonly awaySince: number | null
  readonly problems: readonly string[]
  /** Whether registries are contacted. */
  readonly probes: boolean
  /** True in the cluster: the console then contacts no registry on request, and compares no drafts. */
  readonly isShared: boolean
  /** Images whose registries are being asked. */
  readonly checking: number
  /** Pods beyond a limit. */
  readonly leftOut: number
}

/** A sample of the overview. */
export interface Sample {
  readonly at: number
  readonly pods: number
  readonly podsOnMirror: number
  readonly failingPods: number
  readonly needInternet: number
}

/** What `berth report --at-risk -o json` prints, shortened, and its time. */
export interface AtRisk {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly summary: AtRiskReport['summary']
  /** `moreNamespaces` counts the namespaces that a line leaves out. */
  readonly images: readonly (AtRiskLine & { readonly moreNamespaces: number })[]
  /** How many images `images` leaves out. */
  readonly moreImages: number
}

/** One process of Berth whose metrics were read. */
export interface TrendProcess {
  readonly name: string
  /** When it started, in milliseconds since 1970; null if its metrics could not be read. */
  readonly since: number | null
  /** Why they could not be read. */
  readonly problem: string | null
}

/** What the processes counted in the step that ended at `at`, or until now. */
export interface TrendPoint {
  readonly at: number
  readonly reviews: number
  readonly denied: number
  readonly errors: number
  readonly images: number
  readonly fromMirror: number
  /** Pods that cannot pull an image, counted by the controller that leads; null if none did. */
  readonly failing: number | null
}

/** The change over the last hours, from the metrics of the processes themselves. */
export interface Trend {
  /** Why the processes could not be listed. */
  readonly problem: string | null
  /** The namespace that Berth runs in. */
  readonly namespace: string
  readonly processes: readonly TrendProcess[]
  /** Milliseconds between two points. */
  readonly stepMs: number
  readonly points: readonly TrendPoint[]
}

/** What the page holds. The server sends each section again when it changes. */
export interface Sections {
  readonly status: Status
  readonly overview: Overview
  readonly findings: readonly Finding[]
  readonly flow: Flow
  readonly table: Table
  readonly history: readonly Sample[]
  /** Missing in the cluster: the controller may not read metrics through the API server. */
  readonly trend: Trend
  /** Missing with `--no-probe`, and in the cluster. */
  readonly atRisk: AtRisk
}

/** The change of the list of images; `isAll` for the whole list. */
export interface ImagesChange {
  readonly isAll: boolean
  readonly changed: readonly ImageRow[]
  readonly removed: readonly string[]
}

/** One image with its pods. */
export interface ImageDetail {
  readonly row: ImageRow
  /** In the order in which they are tried. */
  readonly candidates: readonly string[]
  readonly admission: string
  /** The digests that nodes run, by the owner of the pods. */
  readonly revisions: readonly {
    readonly owner: string
    readonly digest: string | null
    readonly pods: number
  }[]
  readonly pods: readonly ImagePod[]
  /** How many pods `pods` leaves out. */
  readonly morePods: number
}

export interface ImagePod {
  readonly name: string
  readonly node: string | null
  readonly phase: string
  readonly isReady: boolean
  readonly runs: string
}

/** What `berth report --mirror -o json` prints, and its time. The uses are rows of the list, not pods. */
export interface MirrorComparison extends MirrorReport {
  /** Milliseconds since 1970. */
  readonly at: number
  /** By the id of a row: the worst state of its image on the mirrors that it belongs on. */
  readonly rows: Readonly<Record<string, ReportState>>
}

/** The result for a draft of the config. */
export type DraftResult =
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] }
  | {
      readonly ok: true
      readonly warnings: readonly ConfigProblem[]
      /** How many images were compared: those of running pods, and a sample for each pattern. */
      readonly compared: number
      /** False if there are more, which would take too long. */
      readonly isComplete: boolean
      readonly differences: readonly DecisionDifference[]
      /** How many differences `differences` leaves out. */
      readonly more: number
    }
