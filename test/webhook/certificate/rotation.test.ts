import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  bundleOf,
  type RotationInput,
  fromSecretData,
  isTrusted,
  nextStep,
  type OwnCertificates,
  toSecretData,
} from '../../../src/webhook/certificate/rotation.ts'

const names = ['berth-webhook.berth-system.svc'] as const
const start = new Date('2026-01-01T00:00:00Z')
const day = 86_400_000
const later = (days: number) => new Date(start.getTime() + days * day)
const settleMs = 120_000

const at = (now: Date, more: Partial<RotationInput> = {}): RotationInput => ({
  names,
  now,
  publishedForMs: null,
  rotate: false,
  settleMs,
  ...more,
})

let first: OwnCertificates
beforeAll(async () => {
  const step = await nextStep(null, at(start))
  if (step === null) throw new Error('no step for a start without certificates')
  first = step.certificates
})

async function requireStep(current: OwnCertificates, input: RotationInput) {
  const step = await nextStep(current, input)
  if (step === null) throw new Error('no step was due')
  return step
}

describe('the first certificates', () => {
  it('are a CA and a leaf that callers accept', () => {
    expect(isTrusted(first.leaf.cert, bundleOf(first), start)).toBe(true)
    expect(new X509Certificate(first.leaf.cert).checkHost(names[0])).toBe(names[0])
    expect(first).toMatchObject({ next: null, old: null })
  })

  it('are the same after a round trip through a Secret', () => {
    expect(fromSecretData(toSecretData(first), start)).toEqual(first)
  })

  it('stay while no step is due', async () => {
    expect(await nextStep(first, at(later(59)))).toBeNull()
  })
})

describe('the leaf', () => {
  it.each([60, 80, 100, 365])('is renewed by the same CA on day %i', async (days) => {
    const { certificates } = await requireStep(first, at(later(days)))

    expect(certificates.signer).toBe(first.signer)
    expect(isTrusted(certificates.leaf.cert, bundleOf(first), later(days + 89))).toBe(true)
    expect(isTrusted(certificates.leaf.cert, bundleOf(first), later(days + 91))).toBe(false)
  })

  it('is issued again when a name is added', async () => {
    const other = ['berth.other.svc'] as const
    const { certificates, reason } = await requireStep(first, at(start, { names: other }))

    expect(new X509Certificate(certificates.leaf.cert).checkHost(other[0])).toBe(other[0])
    expect(reason).toContain('berth.other.svc')
  })
})

describe('a CA', () => {
  it.each([
    ['when two thirds of its lifetime are over', at(later(731))],
    ['when a user requests it', at(start, { rotate: true })],
  ])('is replaced in two steps %s', async (_, input) => {
    const { now } = input
    const fresh = {
      ...first,
      leaf: (await requireStep(first, at(now, { names: ['x.svc'] }))).certificates.leaf,
    }
    const current = { ...fresh, leaf: (await requireStep(fresh, at(now))).certificates.leaf }
    const published = await requireStep(current, input)

    expect(published.certificates).toMatchObject({ signer: first.signer, leaf: current.leaf })
    const both = bundleOf(published.certificates)
    for (const publishedForMs of [null, 0, settleMs - 1])
      expect(await nextStep(published.certificates, at(now, { publishedForMs }))).toBeNull()

    const switched = (
      await requireStep(published.certificates, at(now, { publishedForMs: settleMs }))
    ).certificates
    expect(switched.signer).toEqual(published.certificates.next)
    expect(isTrusted(switched.leaf.cert, first.signer.cert, now)).toBe(false)
    // API servers with the old bundle trust the new leaf, and API servers with the new bundle trust the old leaf.
    expect(isTrusted(switched.leaf.cert, both, now)).toBe(true)
    expect(isTrusted(current.leaf.cert, bundleOf(switched), now)).toBe(true)

    const before = new Date(now.getTime() + 59 * day)
    expect(await nextStep(switched, at(before))).toBeNull()
    const renewed = (await requireStep(switched, at(new Date(now.getTime() + 61 * day))))
      .certificates
    expect(renewed.old).toEqual(switched.old)
    const after = await requireStep(renewed, at(new Date(now.getTime() + 91 * day)))
    expect(after.certificates.old).toBeNull()
  })

  it('keeps signing until the next CA is published, however long that takes', async () => {
    const published = (await requireStep(first, at(start, { rotate: true }))).certificates

    expect(await nextStep(published, at(start, { rotate: true }))).toBeNull()
  })
})

describe('a Secret', () => {
  const broken: [string, Record<string, string>][] = [
    ['is empty', {}],
    ['has no CA', { 'signer.crt': '' }],
    ['has a key of another CA', { 'signer.key': '' }],
    ['has garbage as a leaf', { 'tls.crt': Buffer.from('garbage').toString('base64') }],
  ]

  it.each(broken)('that %s has no usable certificates', (reason, wrong) => {
    const data = reason === 'is empty' ? undefined : { ...toSecretData(first), ...wrong }

    expect(fromSecretData(data, start)).toBeNull()
  })

  it('whose CA has expired has no usable certificates', () => {
    expect(fromSecretData(toSecretData(first), later(1_096))).toBeNull()
  })

  it('with a broken next CA keeps the CA that signs', () => {
    const data = { ...toSecretData(first), 'next.crt': 'AAAA', 'next.key': 'AAAA' }

    expect(fromSecretData(data, start)).toEqual(first)
  })
})
