import { describe, expect, it } from 'vitest'
import { findSites } from '../../../src/decision/pod/sites.ts'
import { admitWith, configOf } from '../../support/admission.ts'
import { digestA, found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const mirror = 'registries: [{ host: anubis:32000, mirror: true }]'
const hub = "{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'] }"
const everywhere = () => registriesOf({ 'anubis:32000': found(), 'docker.io': found() })

describe('an image with the pull policy Never', () => {
  const config = configOf(`${mirror}
fallback: [${hub}]
pin: { tags: ['*'] }
pullPolicy: [{ images: ['**'], set: IfNotPresent }]
pullSecrets: [{ registries: [docker.io, anubis:32000], secret: creds }]
`)
  const never = { imagePullPolicy: 'Never' }
  const pod = podOf([], {
    initContainers: [{ name: 'i', image: 'nginx:1', ...never }],
    containers: [{ name: 'c', image: 'nginx:1', ...never }],
    ephemeralContainers: [{ name: 'e', image: 'nginx:1', ...never }],
    volumes: [{ name: 'v', image: { reference: 'nginx:1', pullPolicy: 'Never' } }],
  })

  it('is left alone in every field of a pod: image, pull policy, digest and pull secrets', async () => {
    const registries = everywhere()
    const { after, records, warnings } = await admitWith(config, registries)(requestOf(pod))

    expect(after).toMatchObject({ spec: pod['spec'] })
    expect((after as { spec: object }).spec).not.toHaveProperty('imagePullSecrets')
    expect([registries.asked, warnings]).toEqual([[], []])
    expect(records).toEqual(
      ['initContainers/i', 'containers/c', 'ephemeralContainers/e', 'volumes/v'].map((site) => ({
        site,
        from: 'nginx:1',
        to: 'nginx:1',
        row: null,
        why: 'left unchanged: imagePullPolicy is Never',
      })),
    )
  })

  it('is left alone next to the same image with another pull policy', async () => {
    const containers = [
      { name: 'a', image: 'nginx:1', ...never },
      { name: 'b', image: 'nginx:1', imagePullPolicy: 'Always' },
    ]
    const { after } = await admitWith(config, everywhere())(requestOf(podOf([], { containers })))

    expect(findSites(after).map(({ image, pullPolicy }) => [image, pullPolicy])).toEqual([
      ['nginx:1', 'Never'],
      [`anubis:32000/library/nginx:1@${digestA}`, 'IfNotPresent'],
    ])
    expect(after).toMatchObject({ spec: { imagePullSecrets: [{ name: 'creds' }] } })
  })

  it('is left alone in a debug container', async () => {
    const old = podOf(['nginx:1'])
    const now = podOf(['nginx:1'], {
      ephemeralContainers: [{ name: 'e', image: 'busybox', ...never }],
    })
    const request = requestOf(now, {
      operation: 'UPDATE',
      subResource: 'ephemeralcontainers',
      oldObject: old,
    })

    expect((await admitWith(config, everywhere())(request)).images).toEqual(['nginx:1', 'busybox'])
  })

  it('is left alone among more images than Berth probes', async () => {
    const containers = Array.from({ length: 1_100 }, (_, index) => ({
      name: `c${index}`,
      image: `app${index}:1`,
      ...never,
    }))
    const registries = everywhere()
    const { images } = await admitWith(config, registries)(requestOf(podOf([], { containers })))

    expect(images).toEqual(containers.map(({ image }) => image))
    expect(registries.asked).toEqual([])
  })

  it('is not denied: no registry matters', async () => {
    const denying = configOf(`${mirror}
fallback: [{ name: d, images: ['**'], try: ['anubis:32000/{path}'], otherwise: deny }]
`)

    expect((await admitWith(denying, registriesOf({}))(requestOf(pod))).denied).toBeNull()
  })

  it('is rewritten if a rule sets this policy, and stays the same in a second review', async () => {
    const setting = configOf(`${mirror}
fallback: [${hub}]
pullPolicy: [{ images: ['anubis:32000/**'], set: Never }]
`)
    const admit = admitWith(setting, everywhere())
    const once = await admit(requestOf(podOf(['nginx:1'])))
    const twice = await admit(requestOf(once.after))
    const updated = structuredClone(once.after) as { spec: { containers: { image: string }[] } }
    for (const container of updated.spec.containers) container.image = 'nginx:2'
    const update = requestOf(updated, { operation: 'UPDATE', oldObject: once.after })

    expect(findSites(once.after)).toMatchObject([
      { image: 'anubis:32000/library/nginx:1', pullPolicy: 'Never' },
    ])
    expect(twice.patch).toEqual([])
    expect((await admit(update)).images).toEqual(['anubis:32000/library/nginx:2'])
  })

  it('that does not parse gets the usual warning', async () => {
    const containers = [{ name: 'c', image: 'NGINX', ...never }]
    const { warnings } = await admitWith(config, everywhere())(requestOf(podOf([], { containers })))

    expect(warnings).toEqual([expect.stringContaining('NGINX is not a valid image')])
  })
})

describe('a pod with the label of a namespace that opts out', () => {
  const labelled = (images: readonly string[]) => ({
    ...podOf(images),
    metadata: { labels: { 'berth.dev/rewrite': 'disabled' } },
  })
  const warning =
    'berth: label berth.dev/rewrite: disabled has no effect on a pod unless a row with leave: true selects it'
  const optOut =
    "{ name: out, when: { namespaces: ['dev-*'], pods: { matchLabels: { berth.dev/rewrite: disabled } } }, leave: true }"

  it('gets a warning if no row leaves it unchanged', async () => {
    const admit = admitWith(configOf(`${mirror}\nfallback: [${optOut}, ${hub}]`), everywhere())

    expect(await admit(requestOf(labelled(['nginx:1'])))).toMatchObject({
      warnings: [warning],
      images: ['anubis:32000/library/nginx:1'],
    })
    expect(await admit(requestOf(labelled(['nginx:1']), { namespace: 'dev-a' }))).toMatchObject({
      warnings: [],
      images: ['nginx:1'],
    })
  })

  it('gets no warning without an image to decide', async () => {
    const admit = admitWith(configOf(`${mirror}\nfallback: [${hub}]`), everywhere())

    expect((await admit(requestOf(labelled([])))).warnings).toEqual([])
  })
})
