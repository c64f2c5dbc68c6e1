/** The shape of a diagnosis rule: which messages it matches, what they mean, and which evidence can prove it. */

/** What a rule's file states. `Rule` (table.ts) is the same with the ids and causes that exist. */
export interface RuleData {
  /** Permanent: the meaning of an id never changes, and a new rule gets a new id. */
  readonly id: `D${number}`
  /** The name for scripts, unique and permanent. */
  readonly cause: string
  /** What the message alone supports. Only a probe or the state of an object makes a verdict `proved`. */
  readonly certainty: 'likely' | 'ambiguous' | 'unknown'
  /** Decides between the errors of one message. */
  readonly rank: Rank
  /**
   * The rule matches if one pattern does. The text is in lower case, with a token for each name (mask-names.ts). Without
   * patterns, only objects of the cluster show this cause.
   */
  readonly patterns: readonly RegExp[]
  /** The same for a whole line, before its errors are split. Only `classifyLine` reads them, before the patterns. */
  readonly linePatterns?: readonly RegExp[]
  /** A text that matches is not about this rule. */
  readonly except?: RegExp
  readonly means: string
  readonly fix: string
  /** More specific fixes: the first that matches the message, in lower case with its names, or the host of the registry. */
  readonly fixes?: readonly { readonly text: RegExp; readonly fix: string }[]

  /** What the rule is about. A probe judges rules of the same topic in the same way. */
  readonly topic?: 'access' | 'pull-secret' | 'missing-image' | 'sandbox-image'
  /** The kubelet also reports it when it creates a container, as CreateContainerError. */
  readonly isOfCreation?: true
  /** The message states the reason, so a probe does not change the cause. */
  readonly isExact?: true
  /** The message says nothing about the image. An earlier message about the image is better. */
  readonly saysNothingOfImage?: true

  /**
   * The whole message, if the kubelet itself decided and wrote all of it. It proves the rule, with what `provedByNode` says.
   * A registry can quote the same words in its answer, but not without the text of the runtime around them.
   */
  readonly kubeletText?: RegExp
  /** Which fault among the pod's pull secrets proves the rule. */
  readonly provedBySecrets?: 'undecodable' | 'missing'
  /** The Node object is evidence: its conditions, images, platform and versions. */
  readonly readsNode?: true
  /** What of the Node object proves the rule. */
  readonly provedByNode?: 'disk-pressure' | 'image-list' | 'platform'
  /** What to ask the registry; without it, no registry can tell anything about the rule. */
  readonly probes?: readonly ProbeSubject[]
  /** One of these observations at the registry proves the rule. */
  readonly provedByProbe?: readonly ProbeSign[]

  /** The rule says that the pull works now, which a probe with the pod's secret proves. */
  readonly isProvedByWorkingSecret?: true

  /** Registries give this answer to requests without a credential too. */
  readonly isAlsoSaidToAnonymous?: true
  /** The answer is about the credential alone: it is the same for an image that does not exist. */
  readonly isOnlyAboutCredential?: true
  /** The cause if the kubelet sent a credential from a pull secret. */
  readonly causeIfSent?: 'credential-refused'
  /** The cause if no pull secret is for the image. */
  readonly causeIfNoneMatches?: 'no-credential'

  /** The failure is between the node and the registry, so a mirror avoids it. */
  readonly isAvoidedByMirror?: true
  /** The part of Berth's config that helps. */
  readonly suggestion?: 'pull-secret' | 'ecr-token' | 'tag-map' | 'mirror'
  /** The kubectl commands that help: create the named secret, create one for the registry, convert one, replace one, or recreate the pod. */
  readonly command?: 'create-named' | 'create' | 'convert' | 'replace' | 'recreate'
  /** What `berth diagnose --fix` does. */
  readonly secretFix?: 'copy' | 'copy-and-link' | 'recreate'
}

/** A question for the registry, next to whether its endpoint answers. */
export type ProbeSubject = 'manifest' | 'tags' | 'quota' | 'platforms' | 'blobs'

/** Something that a probe can observe whatever the credential. The first line says why there is no connection. */
export type ProbeSign =
  | ('dns' | 'refused' | 'timeout' | 'unroutable' | 'cut' | 'not-tls')
  | ('plain-http' | 'unknown-ca' | 'wrong-name' | 'out-of-date')
  | ('limited' | 'server-error' | 'invalid-answer' | 'missing-blob')

/**
 * The order in which errors of one message decide. The verdict is the error that a person can act on, not the first one:
 * `definite` says what is wrong with the image, its name or the node, so that pull got further than the others.
 * A refused anonymous attempt is only a consequence of credentials that failed, so it ranks behind more specific errors.
 */
export const ranks = [
  'definite',
  'limited',
  'refused',
  'transport',
  'ambiguous',
  'unreachable',
  'anonymous',
  'vague',
  'unknown',
] as const

export type Rank = (typeof ranks)[number]
