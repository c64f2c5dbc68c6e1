import { describe, expect, it } from 'vitest'
import { decideSites } from '../../src/decision/pod/decide-sites.ts'
import { formatReference } from '../../src/decision/reference/reference.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import { decisionOf } from '../../src/decision/resolve/decide-by-row.ts'
import { createDecide, type Decide } from '../../src/decision/resolve/decision-cache.ts'
import { resolveWithoutProbing } from '../../src/decision/resolve/resolve.ts'
import { rewriteManifests } from '../../src/manifests/rewrite.ts'
import { planCopies } from '../../src/mirror/copy-plan.ts'
import { fc, runs } from '../support/fast-check.ts'
import { digestA, found, registriesOf } from '../support/manifest-answers.ts'
import { requestOf } from '../support/reviews.ts'
import { barePod, referenceOf, tableOf } from '../support/tables.ts'

const hosts = ['docker.io', 'ghcr.io', 'quay.io', 'mirror:5000', 'local:5000']
const mirrors = ['mirror:5000', 'local:5000']

/** Rows whose results are images of other rows, also in a loop. */
const table = fc
  .uniqueArray(
    fc.record({
      host: fc.constantFrom(...hosts),
      try: fc.uniqueArray(
        fc.constantFrom(
          ...hosts.map((host) => `${host}/{path}`),
          'mirror:5000/{host}/{path}',
          'ghcr.io/acme/{name}',
        ),
        { minLength: 1, maxLength: 3 },
      ),
    }),
    { selector: ({ host }) => host, maxLength: 5 },
  )
  .map((rows) =>
    tableOf(
      mirrors,
      rows.map(({ host, try: templates }) => ({
        name: host,
        images: [`${host}/**`],
        try: templates,
      })),
    ),
  )

const image = fc
  .tuple(fc.constantFrom(...hosts), fc.constantFrom('acme/app', 'x/y/z'), fc.constantFrom('1', '2'))
  .map(([host, path, tag]) => `${host}/${path}:${tag}`)

const policy = { pullPolicy: [], pullSecrets: [], mode: 'enforce' as const }
const pin = { matches: () => false, unresolved: 'keep' as const }
const answers = Object.fromEntries(hosts.map((host) => [host, found(digestA)]))
const { signal } = new AbortController()

const withoutDigest = (text: string) => text.replace(/@sha256:.*$/, '')

async function webhook(decide: Decide, text: string): Promise<string | undefined> {
  const request = requestOf({ spec: { containers: [{ name: 'c', image: text }] } })
  const [decision] = await decideSites(decide, {
    request,
    policy,
    pod: barePod,
    signal: () => signal,
  })
  return decision?.image
}

async function rewrite(decide: Decide, text: string): Promise<string | undefined> {
  const manifest = `{apiVersion: v1, kind: Pod, spec: {containers: [{name: c, image: "${text}"}]}}\n`
  const result = await rewriteManifests({ decide, policy, workloads: [] }, manifest, {
    namespace: 'default',
    owners: null,
    imagesOnly: false,
    signal,
  })
  return result.ok ? result.images[0]?.to : undefined
}

describe('a table of several steps', () => {
  it('gives explain, the webhook, rewrite and mirror the same answer', async () => {
    let steps = 0
    await fc.assert(
      fc.asyncProperty(table, image, async (given, text) => {
        const reference = referenceOf(text)
        const explained = resolveWithoutProbing({ table: given, pin }, { reference, pod: barePod })
        const answer = explained.changed ? formatReference(explained.chosen) : text
        const probing = createDecide(registriesOf(answers).dependencies, { table: given, pin })
        const unprobed: Decide = (each) => {
          const parsed = parseReference(each)
          if (!parsed.ok) throw new Error(each)
          return decisionOf(
            each,
            resolveWithoutProbing(
              { table: given, pin },
              { reference: parsed.reference, pod: barePod },
            ),
          )
        }

        expect(withoutDigest((await webhook(probing, text)) ?? '')).toBe(answer)
        expect(withoutDigest((await rewrite(probing, text)) ?? '')).toBe(answer)
        expect(await rewrite(unprobed, text)).toBe(answer)
        const chosen = referenceOf(answer)
        // What is on a mirror already is not copied.
        if (mirrors.includes(chosen.domain) && !mirrors.includes(reference.domain)) {
          const { pairs } = planCopies(given, [{ reference, pod: barePod }])
          expect(pairs.map(({ destination }) => formatReference(destination))).toContain(answer)
        }
        if (explained.followed !== undefined) steps++
      }),
      runs(200),
    )
    expect(steps).toBeGreaterThan(20)
  })

  it('is copied from where the first step points', async () => {
    const given = tableOf(mirrors, [
      { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}'] },
      { name: 'ghcr', images: ['ghcr.io/**'], try: ['mirror:5000/{host}/{path}'] },
    ])
    const { pairs } = planCopies(given, [{ reference: referenceOf('acme/app:1'), pod: barePod }])
    const decide = createDecide(registriesOf(answers).dependencies, { table: given, pin })

    expect(pairs).toEqual([
      {
        source: referenceOf('ghcr.io/acme/app:1'),
        destination: referenceOf('mirror:5000/ghcr.io/acme/app:1'),
        row: 'ghcr',
      },
    ])
    expect(await decide('acme/app:1', { pod: barePod, signal: () => signal })).toMatchObject({
      image: `mirror:5000/ghcr.io/acme/app:1@${digestA}`,
      why: "found on ghcr.io, another publisher's copy; then found on mirror:5000",
      resolution: { row: 'moved', kind: 'alternate' },
    })
  })

  it('keeps what the first step found if the second finds nothing', async () => {
    const given = tableOf(mirrors, [
      { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}'] },
      { name: 'ghcr', images: ['ghcr.io/**'], try: ['mirror:5000/{path}', 'ghcr.io/{path}'] },
    ])
    const registries = registriesOf({ 'ghcr.io': found(digestA) })
    const decide = createDecide(registries.dependencies, { table: given, pin })

    expect(await decide('acme/app:1', { pod: barePod, signal: () => signal })).toMatchObject({
      image: `ghcr.io/acme/app:1@${digestA}`,
      why: "found on ghcr.io, another publisher's copy; then mirror:5000 absent (404); the image on ghcr.io stays",
      resolution: { reason: 'found', kind: 'alternate' },
    })
  })

  it('lists the rows of the second step that depend on what is not known of the pod', () => {
    const given = tableOf(mirrors, [
      { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}'] },
      {
        name: 'prod',
        when: { namespaces: ['prod'] },
        images: ['ghcr.io/**'],
        try: ['mirror:5000/{path}'],
      },
    ])
    const pod = { ...barePod, namespace: null }
    const resolution = resolveWithoutProbing(
      { table: given, pin },
      { reference: referenceOf('acme/app:1'), pod },
    )

    expect(resolution.undecidedRows).toEqual(['prod'])
  })

  it('is denied by the row of the second step', async () => {
    const given = tableOf(mirrors, [
      { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}'] },
      { name: 'ghcr', images: ['ghcr.io/**'], try: ['mirror:5000/{path}'], otherwise: 'deny' },
    ])
    const registries = registriesOf({ 'ghcr.io': found(digestA) })
    const decide = createDecide(registries.dependencies, { table: given, pin })

    expect(await decide('acme/app:1', { pod: barePod, signal: () => signal })).toMatchObject({
      resolution: { row: 'ghcr', reason: 'row-denies' },
    })
  })
})
