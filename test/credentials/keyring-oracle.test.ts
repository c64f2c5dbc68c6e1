/**
 * Pull secrets as the kubelet's own code reads them. The stored cases were made by e2e/oracles/kubelet-keyring/golden.ts; with
 * Go at hand, `KEYRING_ORACLE=1` asks that code about 10,000 others.
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

/** Words of Go's encoding/json and of the kubelet, first match wins. */
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

interface Found {
  readonly repository: string
  readonly keys: Readonly<Record<string, readonly string[]>>
  readonly tried: readonly Tried[]
}

type Answer = Found | { readonly fault: string }

function kubeletAnswer(answer: KeyringAnswer): Answer {
  if (!('error' in answer)) {
    const { repository, keys = {}, tried = [] } = answer
    const shown = Object.entries(keys).map(([text, list]): [string, string[]] => [
      text,
      list.map(redactKey).toSorted(byBytes),
    ])
    const shownTried = tried.map((one) => ({ ...one, key: redactKey(one.key) }))
    return inFixedOrder({ repository, keys: Object.fromEntries(shown), tried: shownTried })
  }
  return { fault: faultWords.find(([words]) => words.test(answer.error))?.[1] ?? answer.error }
}

/** What Berth says, in the kubelet's words. */
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
    key: toldKey(key),
    username,
    password: credentials[index]?.password ?? '',
  }))
  return inFixedOrder({ repository: `${domain}/${path}`, keys: keysOf(keyring), tried })
}

/** Members of a config.json that was put into a `.dockercfg` by mistake are entries there, but tell no key. */
const toldKey = (key: string) => (/^(?:auths|httpheaders)$/i.test(key) ? '' : key)

const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other))

function keysOf({ entries }: Keyring): Record<string, string[]> {
  const groups = Map.groupBy(entries, textOf)
  return Object.fromEntries(
    [...groups].map(([text, group]) => [
      text,
      group.map(({ key }) => toldKey(key)).toSorted(byBytes),
    ]),
  )
}

function textOf({ registry }: KeyringEntry): string {
  return Buffer.from(registry.text, 'latin1').toString()
}

/** Neighbours of one secret and one normalised key, which the kubelet has in random order, by what they say. */
function inFixedOrder({ repository, keys, tried }: Found): Found {
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
  return cases.flatMap(([asked, answer]) => {
    const ours = ourAnswer(asked)
    const theirs = kubeletAnswer(answer)
    return isSame(ours, theirs) ? [] : [{ asked, ours, theirs }]
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

describe('the stored cases', () => {
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

  it('are read as the kubelet reads them: keys, order and faults (R-25)', () => {
    expect(differences(golden)).toEqual([])
  })
})

describe.skipIf(KEYRING_ORACLE !== '1')('10,000 other cases', () => {
  it('are read as the kubelet reads them', { timeout: 600_000 }, () => {
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
