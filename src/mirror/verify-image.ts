/** Verifies images before they are copied: who signed them, and how old they are (`mirror.verify`). */
import { LRUCache } from 'lru-cache'
import type { CosignRule, VerifyRule } from '../config/config.ts'
import { nameOf, readKeys, readTrustedRoot } from '../config/verify-files.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import type { Reference } from '../decision/reference/reference.ts'
import { shortDigest } from '../registry/digest.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import {
  checkSignature,
  type SignatureCheck,
  type SignatureProblem,
  type Trust,
} from '../signatures/check-signature.ts'
import { durationText } from '../text/units.ts'
import { findSignatures, maxSignatures } from './find-signatures.ts'
import { imageTime } from './image-age.ts'
import { ImageRefusedError, type RefusalCode } from './image-refused.ts'
import type { ManifestNode } from './image-tree.ts'

/** The checks that one image needs. */
export interface ImageVerification {
  /** Whether the image must be signed. Its signatures are then copied too. */
  readonly isSigned: boolean
  /** Verifies who signed the digest. Throws ImageRefusedError and RegistryError. */
  checkSignatures(): Promise<SignatureProof>
  /** Verifies the age of the image. Throws ImageRefusedError and RegistryError. */
  checkAge(tree: ManifestNode, proof: SignatureProof): Promise<void>
}

/** What the signatures of an image prove. */
export interface SignatureProof {
  /** When a log recorded the signature, in milliseconds since the epoch; null without a keyless signature. */
  readonly signedAt: number | null
}

export interface ImageVerifier {
  /** Returns the checks for the image with this digest; null if it needs none. */
  verification(
    source: Reference,
    at: { readonly from: ImageRepository; readonly digest: string; readonly signal: AbortSignal },
  ): ImageVerification | null
}

/** A dry run and the copy after it verify each image once. A removed key is noticed after this time at the latest. */
const rememberMs = 10 * 60_000
const maxRemembered = 1_000

export function createImageVerifier(rules: readonly VerifyRule[]): ImageVerifier {
  const proofs = new LRUCache<string, SignatureProof>({ max: maxRemembered, ttl: rememberMs })
  return {
    verification(source, { from, digest, signal }) {
      const canonical = canonicalReference(source)
      const rule = rules.find(({ images }) => images.some((image) => image.matches(canonical)))
      if (rule === undefined) return null
      const { cosign, minAgeMs } = rule
      const key = `${rule.name} ${from.host}/${from.name}@${digest}`
      return {
        isSigned: cosign !== null,
        async checkSignatures() {
          if (cosign === null) return { signedAt: null }
          const known = proofs.get(key)
          if (known !== undefined) return known
          const proof = await verifySignatures(rule, cosign, { from, digest, signal })
          proofs.set(key, proof)
          return proof
        },
        async checkAge(tree, { signedAt }) {
          if (minAgeMs === null || minAgeMs === 0) return
          const time = signedAt ?? (await imageTime(from, tree, signal))
          checkTime(rule, { time, minAgeMs, now: Date.now() })
        },
      }
    },
  }
}

interface SignedImage {
  readonly from: ImageRepository
  readonly digest: string
  readonly signal: AbortSignal
}

/** Looks for a valid signature that is old enough; without one, returns the oldest. */
async function verifySignatures(
  rule: VerifyRule,
  cosign: CosignRule,
  { from, digest, signal }: SignedImage,
): Promise<SignatureProof> {
  const trust = await readTrust(rule, cosign)
  const latest = Date.now() - (rule.minAgeMs ?? 0)
  const failures: FailedCheck[] = []
  let oldest: SignatureProof | null = null
  for await (const signature of findSignatures(from, digest, signal)) {
    const check = checkSignature(signature, digest, trust)
    if (check === null) continue
    if (!check.ok) {
      failures.push(check)
      continue
    }
    const { signedAt } = check
    if (signedAt === null || signedAt <= latest) return { signedAt }
    if (signedAt < (oldest?.signedAt ?? Infinity)) oldest = { signedAt }
  }
  if (oldest !== null) return oldest
  throw signatureRefusal(rule, cosign, { image: `${from.name}@${shortDigest(digest)}`, failures })
}

type FailedCheck = Extract<SignatureCheck, { ok: false }>

/** Returns the error for an image without a valid signature. */
function signatureRefusal(
  rule: VerifyRule,
  cosign: CosignRule,
  { image, failures }: { readonly image: string; readonly failures: readonly FailedCheck[] },
): ImageRefusedError {
  const [first] = order.flatMap((problem) => failures.filter((each) => each.problem === problem))
  if (first === undefined) {
    const fix = `sign it with \`cosign sign\`, or ${exemption}`
    return refused(rule, 'unsigned', `${image} has no cosign signature; ${fix}`)
  }
  const { problem, detail } = first
  const signer = signerText(cosign)
  const reasons = {
    'wrong-image': `the signature of ${image} is of another image`,
    'wrong-signer': `${image} is not signed by ${signer}: ${detail}`,
    'signature-invalid': `${image} has no valid signature by ${signer}: ${detail}`,
  }
  const limit =
    failures.length >= maxSignatures ? ` (Berth checks ${maxSignatures} signatures)` : ''
  return refused(rule, problem, `${reasons[problem]}${limit}; ${exemption}`)
}

/** The most informative problem comes first. */
const order: readonly SignatureProblem[] = ['wrong-image', 'wrong-signer', 'signature-invalid']

const exemption = 'put an entry for the image before this one if you trust it'

function signerText(cosign: CosignRule): string {
  if (cosign.kind === 'identity') return `${cosign.identity} (${cosign.issuer})`
  return `the key ${nameOf(cosign.source)}`
}

async function readTrust(rule: VerifyRule, cosign: CosignRule): Promise<Trust> {
  if (cosign.kind === 'key') {
    const keys = readKeys(cosign.source)
    if (keys.ok) return { kind: 'keys', keys: keys.content }
    throw refused(rule, 'trust-unavailable', `${keys.message}; mount the file, or correct the path`)
  }
  const root = readTrustedRoot(cosign.trustedRoot)
  if (!root.ok)
    throw refused(rule, 'trust-unavailable', `${root.message}; mount the file, or correct the path`)
  // Loads the libraries of sigstore, which signatures with keys do not need.
  const { createIdentify } = await import('../signatures/keyless.ts')
  const identify = createIdentify(root.content)
  if (identify === null) {
    const reason = `the trusted root ${nameOf(cosign.trustedRoot)} cannot be parsed`
    throw refused(rule, 'trust-unavailable', `${reason}; create it again`)
  }
  return {
    kind: 'identity',
    identify,
    isTrusted: ({ identity, issuer }) => issuer === cosign.issuer && cosign.matches(identity),
  }
}

interface AgeCheck {
  /** Null if it is not known since when the image exists. */
  readonly time: number | null
  readonly minAgeMs: number
  readonly now: number
}

function checkTime(rule: VerifyRule, { time, minAgeMs, now }: AgeCheck): void {
  const minAge = durationText(minAgeMs)
  if (time === null) {
    const reason = `its age is not known, because it has no creation date (or one before 2013), and it must be ${minAge} old`
    throw refused(rule, 'age-unknown', `${reason}; ${exemption}`)
  }
  const age = now - time
  if (age >= minAgeMs) return
  if (age < 0) throw refused(rule, 'too-young', `its creation date is in the future; ${exemption}`)
  const until = `${new Date(time + minAgeMs).toISOString().slice(0, 16)}Z`
  const reason = `it is ${durationText(age)} old, and must be ${minAge} old; copy it after ${until}`
  throw refused(rule, 'too-young', `${reason}, or ${exemption}`)
}

function refused({ name, images }: VerifyRule, code: RefusalCode, reason: string) {
  const [first] = images
  const patterns = `${first?.text ?? ''}${images.length > 1 ? ', …' : ''}`
  return new ImageRefusedError({
    code,
    rule: name,
    message: `${name} (${patterns}) refuses it: ${reason}`,
  })
}
