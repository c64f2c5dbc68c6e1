/** The error for an image that `mirror.verify` refuses. */

/** Why an image is refused. A closed list, because reports have it as `code`. docs/mirror.md has a row for each. */
export const refusalCodes = [
  'unsigned',
  'signature-invalid',
  'wrong-signer',
  'wrong-image',
  'trust-unavailable',
  'too-young',
  'age-unknown',
] as const

export type RefusalCode = (typeof refusalCodes)[number]

/** Thrown for an image that must not be copied. */
export class ImageRefusedError extends Error {
  override readonly name = 'ImageRefusedError'
  readonly code: RefusalCode
  /** The entry of the config, such as `mirror.verify[0]`. */
  readonly rule: string

  constructor({ code, rule, message }: Pick<ImageRefusedError, 'code' | 'rule' | 'message'>) {
    super(message)
    this.code = code
    this.rule = rule
  }
}
