/** How large the YAML files may be that Berth reads. */

export interface YamlLimits {
  /** Bytes of the file, and characters of its text with the aliases written out. */
  readonly length: number
  /** Words and punctuation marks. Each takes up to 500 bytes of memory while the text is parsed. */
  readonly tokens: number
}

/**
 * A config file or a lock file. A ConfigMap holds 1 MiB: 10,000 rows of 100 characters, with 600,000 words and punctuation
 * marks.
 */
export const configLimits: YamlLimits = { length: 1024 ** 2, tokens: 1_000_000 }

/** A manifest file. A list of 2,000 pods has 10 MiB. The default heap of Node.js, 2 GiB or more, is enough to parse it. */
export const manifestLimits: YamlLimits = { length: 16 * 1024 ** 2, tokens: 6_000_000 }
