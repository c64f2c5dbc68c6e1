/**
 * Compares how Berth and the kubelet's own code read pull secrets. e2e/oracles/kubelet-keyring/golden.ts created the stored
 * cases. With Go installed, `KEYRING_ORACLE=1` runs the kubelet's code with 10,000 more.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type KeyringCase, makeCases } from '../../e2e/oracles/kubelet-keyring/cases.ts'
import {
  runKubeletKeyring,
  type GoldenCase,
  type KeyringAnswer,
  type Tried,
} from '../../e2e/oracles/kubelet-keyring/golden.ts'
import { redactKey } from '../../src/credentials/docker-config-keys.ts'
import type { DockerConfigFault } from '../../src/credentials/docker-config.ts'
import { type Keyring, type KeyringEntry, readKeyring } from '../../src/credentials/keyring.ts'
import { candidateCredentials, credentialOrder } from '../../src/credentials/credential-order.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'

const { KEYRING_ORACLE, FUZZ_SEED } = process.env
const fixture = new URL('../fixtures/kubelet-keyring.jsonl.gz', import.meta.url)
const golden = gunzipSync(readFileSync(fixture))
  .toString()
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as GoldenCase)

/** Messages of Go's encoding/json and of the kubelet; the first match counts. */
const faultWords: readonly (readonly [RegExp, DockerConfigFault])[] = [
  [/^illegal base64 data/, 'auth-not-base64'],
  [/^unable to parse auth field/, 'auth-without-colon'],
  [/^json: .* field DockerConfigJSON\.HttpHeaders of type/i, 'headers-not-text'],
  [/^json: .* of type credentialprovider\.dockerConfigEntryWithAuth$/, 'entry-not-an-object'],
  [/^json: .* of type string$/, 'field-not-text'],
  [/^json: .* field .* of type credentialprovider\.DockerConfig$/, 'auths-not-an-object'],
  [/^json: .* value of type credentialprovider\.DockerConfig(?:JSON)?$/, 'not-an-object'],
  [/^(?:invalid character|unexpected end)/, 'not-json'],
]

interface KeyringResult {
  readonly repository: string
  readonly keys: Readonly<Record<string, readonly string[]>>
  readonly tried: readonly Tried[]
}

type Answer = KeyringResult | { readonly fault: string }

function kubeletAnswer(answer: KeyringAnswer): Answer {
  if (!('error' in answer)) {
    const { repository, keys = {}, tried = [] } = answer
    const redacted = Object.entries(keys).map(([text, list]): [string, string[]] => [
      text,
      list.map(redactKey).toSorted(byBytes),
    ])
    const redactedTried = tried.map((one) => ({ ...one, key: redactKey(one.key) }))
    return inFixedOrder({ repository, keys: Object.fromEntries(redacted), tried: redactedTried })
  }
  return { fault: faultWords.find(([words]) => words.test(answer.error))?.[1] ?? answer.error }
}

/** Returns Berth's answer in the form of the kubelet's. */
function ourAnswer({ image, secrets }: KeyringCase): Answer {
  const parsed = parseReference(image)
  if (!parsed.ok) return { fault: parsed.code }
  const { domain, path } = parsed.reference
  const keyring = readKeyring(
    secrets.map(({ name }) => name),
    (name) => {
      const found = secrets.find((one) => one.name === name)
      if (found === undefined) return 'missing'
      const data = Object.entries(found.data).map(([member, text]) => [
        member,
        Buffer.from(text).toString('base64'),
      ])
      return { type: found.type, data: Object.fromEntries(data) as Record<string, string> }
    },
  )
  const order = credentialOrder(keyring, parsed.reference)
  if (order.outcome === 'fails') return { fault: order.faults[0]?.fault ?? 'none' }
  const credentials = candidateCredentials(keyring, parsed.reference)
  const tried = order.candidates.map(({ secret, key, username }, index) => ({
    secret,
    key: reportedKey(key),
    username,
    password: credentials[index]?.password ?? '',
  }))
  return inFixedOrder({ repository: `${domain}/${path}`, keys: keysOf(keyring), tried })
}

/** The members of a config.json in a `.dockercfg` are entries there; the oracle reports no key for them. */
const reportedKey = (key: string) => (/^(?:auths|httpheaders)$/i.test(key) ? '' : key)

const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other))

function keysOf({ entries }: Keyring): Record<string, string[]> {
  const groups = Map.groupBy(entries, textOf)
  return Object.fromEntries(
    [...groups].map(([text, group]) => [
      text,
      group.map(({ key }) => reportedKey(key)).toSorted(byBytes),
    ]),
  )
}

function textOf({ registry }: KeyringEntry): string {
  return Buffer.from(registry.text, 'latin1').toString()
}

/** Sorts adjacent entries of one secret with one normalized key, which the kubelet has in random order. */
function inFixedOrder({ repository, keys, tried }: KeyringResult): KeyringResult {
  const texts = new Map(
    Object.entries(keys).flatMap(([text, list]) => list.map((key) => [key, text])),
  )
  const runs: Tried[][] = []
  for (const one of tried) {
    const [last] = runs.at(-1) ?? []
    const isNext = last?.secret === one.secret && texts.get(last.key) === texts.get(one.key)
    if (isNext) runs.at(-1)?.push(one)
    else runs.push([one])
  }
  const sorted = runs.map((run) =>
    run.toSorted(
      (one, other) =>
        byBytes(one.key, other.key) ||
        byBytes(one.username, other.username) ||
        byBytes(one.password, other.password),
    ),
  )
  return { repository, keys, tried: sorted.flat() }
}

function differences(cases: readonly GoldenCase[]): unknown[] {
  return cases.flatMap(([input, answer]) => {
    const ours = ourAnswer(input)
    const theirs = kubeletAnswer(answer)
    return isSame(ours, theirs) ? [] : [{ input, ours, theirs }]
  })
}

function isSame(one: Answer, other: Answer): boolean {
  try {
    expect(one).toEqual(other)
    return true
  } catch {
    return false
  }
}

describe('the stored keyring cases', () => {
  it('are 10,000, with every kind of answer', () => {
    const answers = golden.map(([, answer]) => kubeletAnswer(answer))
    const faults = answers.flatMap((answer) => ('fault' in answer ? [answer.fault] : []))
    const lengths = answers.flatMap((answer) => ('tried' in answer ? [answer.tried.length] : []))

    expect(golden).toHaveLength(10_000)
    expect(new Set(faults)).toEqual(new Set(faultWords.map(([, fault]) => fault)))
    expect(lengths.filter((length) => length === 0).length).toBeGreaterThan(1000)
    expect(lengths.filter((length) => length === 1).length).toBeGreaterThan(1000)
    expect(lengths.filter((length) => length > 1).length).toBeGreaterThan(1000)
  })

  it('have the same keys, order and faults as in the kubelet', () => {
    expect(differences(golden)).toEqual([])
  })
})

describe.skipIf(KEYRING_ORACLE !== '1')('10,000 random keyring cases', () => {
  it('have the same keys, order and faults as in the kubelet', { timeout: 600_000 }, () => {
    const cases = makeCases(10_000, Number(FUZZ_SEED ?? Date.now() % 2 ** 31))
    const answers = runKubeletKeyring(cases)

    expect(answers).toHaveLength(10_000)
    expect(
      differences(
        cases.flatMap((one, index) => {
          const answer = answers[index]
          return answer === undefined ? [] : [[one, answer] as const]
        }),
      ),
    ).toEqual([])
  })
})
