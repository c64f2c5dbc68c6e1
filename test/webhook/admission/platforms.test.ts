import { describe, expect, it } from 'vitest'
import { unknownPod } from '../../../src/decision/fallback/pod-context.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { resolve } from '../../../src/decision/resolve/resolve.ts'
import { createPlatformLookup } from '../../../src/decision/resolve/platform-lookup.ts'
import { admitWith, configOf } from '../../support/admission.ts'
import { digestA, digestB, failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const config = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }]
`)
const onMirror = 'anubis:32000/library/nginx:1'
const answers = { 'anubis:32000': found(digestA), 'docker.io': found(digestB) }

function podFor(architecture: string, image = 'nginx:1') {
  const pod = podOf([image]) as { spec: object }
  return { ...pod, spec: { ...pod.spec, nodeSelector: { 'kubernetes.io/arch': architecture } } }
}

describe('a pod that asks for an architecture', () => {
  const platforms = { [digestA]: ['linux/amd64'], [digestB]: ['linux/amd64', 'linux/arm64'] }

  it('gets the next candidate if the first one lacks it', async () => {
    const admit = admitWith(config, registriesOf(answers, { platforms }))
    const { images, records } = await admit(requestOf(podFor('arm64')))

    expect(images).toEqual(['nginx:1'])
    expect(records[0]?.why).toBe(
      'anubis:32000 absent (linux/arm64 is not in it); the original on docker.io',
    )
  })

  it('gets the mirror if it has it', async () => {
    const admit = admitWith(config, registriesOf(answers, { platforms }))

    expect((await admit(requestOf(podFor('amd64')))).images).toEqual([onMirror])
  })

  it('gets the mirror if its platforms cannot be read', async () => {
    const admit = admitWith(config, registriesOf(answers))

    expect((await admit(requestOf(podFor('arm64')))).images).toEqual([onMirror])
  })

  it('is decided again soon if its platforms could not be read', async () => {
    const { dependencies } = registriesOf({
      'anubis:32000': { ...found(digestA), freshUntil: 600_000 },
    })
    const parsed = parseReference('nginx:1')
    if (!parsed.ok) throw new Error(parsed.message)
    const { freshUntil, chosen } = await resolve({ ...dependencies, now: () => 0 }, config, {
      reference: parsed.reference,
      pod: { ...unknownPod, platforms: ['linux/arm64'] },
      signal: new AbortController().signal,
    })

    expect([chosen.domain, freshUntil]).toEqual(['anubis:32000', 5_000])
  })

  it('does not get the decision for pods of other architectures from the cache', async () => {
    const admit = admitWith(config, registriesOf(answers, { platforms }))
    const imagesOf = async (pod: object) => (await admit(requestOf(pod))).images

    expect(await imagesOf(podOf(['nginx:1']))).toEqual([onMirror])
    expect(await imagesOf(podFor('arm64'))).toEqual(['nginx:1'])
    expect(await imagesOf(podFor('amd64'))).toEqual([onMirror])
    expect(await imagesOf(podFor('arm64'))).toEqual(['nginx:1'])
  })

  it('keeps its image, with a pin, if upstream lacks it too', async () => {
    const pinned = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }]
pin: { tags: ['*'], unresolved: deny }
`)
    const admit = admitWith(pinned, registriesOf(answers, { platforms }))
    const { images, denied } = await admit(requestOf(podFor('s390x')))

    expect(denied).toBeNull()
    expect(images).toEqual([`docker.io/library/nginx:1@${digestB}`])
  })

  it('is denied by a row that denies if no candidate has it', async () => {
    const denying = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'], otherwise: deny }]
`)
    const admit = admitWith(denying, registriesOf(answers, { platforms }))

    expect((await admit(requestOf(podFor('arm64')))).denied).toContain('linux/arm64 is not in it')
  })
})

describe('platforms of the config', () => {
  const platforms = { [digestA]: ['linux/amd64'], [digestB]: ['linux/amd64', 'linux/arm64'] }
  const row = (keys: string) =>
    configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}']${keys} }]
`)

  it.each([
    ['of a registry', row(''), { 'anubis:32000': ['linux/amd64', 'linux/arm64'] }],
    ['of a row', row(', platforms: [linux/arm64]'), {}],
    [
      'of a row, in place of those of the registry',
      row(', platforms: [linux/arm64]'),
      { 'anubis:32000': ['linux/amd64'] },
    ],
  ])('%s apply to pods that ask for none', async (_, given, wanted) => {
    const registries = registriesOf(answers, { platforms, wanted })

    expect((await admitWith(given, registries)(requestOf(podOf(['nginx:1'])))).images).toEqual([
      'nginx:1',
    ])
  })

  it('do not apply to a pod that asks for another one, which the mirror has', async () => {
    const registries = registriesOf(answers, { platforms })
    const admit = admitWith(row(', platforms: [linux/amd64, linux/arm64]'), registries)

    expect((await admit(requestOf(podFor('amd64')))).images).toEqual([onMirror])
  })

  it('cause no request where there are none', async () => {
    let reads = 0
    const { dependencies } = registriesOf(answers)
    const check = createPlatformLookup(
      { readPlatforms: () => Promise.resolve({ ok: false, detail: `${++reads}` }) },
      dependencies.queryManifest,
    )
    const counted = { ...dependencies, platforms: { check, wantedOf: () => [] } }
    const admit = admitWith(row(''), { dependencies: counted, asked: [] })
    await admit(requestOf(podOf(['nginx:1'])))

    expect(reads).toBe(0)
  })
})

describe('an index that has lost a manifest', () => {
  const childA = `sha256:${'1'.repeat(64)}`
  const childB = `sha256:${'2'.repeat(64)}`

  it.each([
    [
      'does not have its platform',
      failed('absent', '404'),
      { missing: ['linux/arm64'], available: ['linux/amd64'] },
    ],
    [
      'may have it while the registry is away',
      failed('unreachable'),
      { missing: [], available: ['linux/amd64', 'linux/arm64'] },
    ],
    [
      'has it while the manifest is there',
      found(childB),
      { missing: [], available: ['linux/amd64', 'linux/arm64'] },
    ],
  ])('%s', async (_, answer, expected) => {
    let reads = 0
    const asked: string[] = []
    const check = createPlatformLookup(
      {
        readPlatforms: () => {
          reads += 1
          return Promise.resolve({
            ok: true,
            entries: [
              { platform: 'linux/amd64', digest: childA },
              { platform: 'linux/arm64', digest: childB },
            ],
          })
        },
      },
      ({ reference }) => {
        asked.push(reference)
        return Promise.resolve(reference === childB ? answer : found(reference))
      },
    )
    const query = { host: 'anubis:32000', repository: 'app', reference: digestA, namespace: 'x' }
    const { signal } = new AbortController()
    const ask = () => check(query, ['linux/arm64'], signal)

    expect(await ask()).toMatchObject(expected)
    expect(await ask()).toMatchObject(expected)
    expect([reads, asked]).toEqual([1, [childB, childB]])
  })
})
