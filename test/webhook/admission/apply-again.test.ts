import { describe, expect, it } from 'vitest'
import { findSites } from '../../../src/decision/pod/sites.ts'
import { admitWith, configOf } from '../../support/admission.ts'
import { digestA, digestB, failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const config = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }]
pin: { tags: [latest] }
pullPolicy: [{ images: ['anubis:32000/**'], set: IfNotPresent }]
`)
const running = `anubis:32000/library/nginx:latest@${digestA}`
const moved = () => registriesOf({ 'anubis:32000': found(digestB) })
const created = await admitWith(
  config,
  registriesOf({ 'anubis:32000': found(digestA) }),
)(requestOf(podOf(['nginx', 'nginx'])))

type Pod = {
  metadata: { annotations?: Record<string, string> }
  spec: { containers: { image: string; imagePullPolicy?: string }[] }
}

/** Returns the created pod after a change. */
function podWith(change: (pod: Pod) => void): Pod {
  const pod = structuredClone(created.after) as Pod
  change(pod)
  return pod
}

const withImages = (...images: string[]) =>
  podWith(({ spec }) => {
    for (const [index, image] of images.entries())
      Object.assign(spec.containers[index] ?? {}, { image })
  })
const update = (object: unknown, oldObject: unknown = created.after) =>
  requestOf(object, { operation: 'UPDATE', oldObject })

describe('a pod whose manifest is applied again', () => {
  it.each([
    ['the tag has moved', moved],
    ['the mirror does not respond', () => registriesOf({ 'anubis:32000': failed('unreachable') })],
    ['the mirror has lost the image', () => registriesOf({ 'docker.io': found(digestB) })],
  ])('keeps the running images and their records, without a probe, when %s', async (_, answers) => {
    const registries = answers()
    const { after, warnings } = await admitWith(
      config,
      registries,
    )(update(withImages('nginx', 'nginx')))

    expect(created.images).toEqual([running, running])
    expect(after).toEqual(created.after)
    expect([registries.asked, warnings]).toEqual([[], []])
  })

  it('keeps them if the request has lost the annotation', async () => {
    const pod = withImages('nginx', 'nginx')
    delete pod.metadata.annotations
    const { images, records } = await admitWith(config, moved())(update(pod))

    expect(images).toEqual([running, running])
    expect(records).toEqual(created.records)
  })

  it('keeps them even if a row denies the image now', async () => {
    const denying = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: d, images: ['**'], try: ['anubis:32000/{path}'], otherwise: deny }]
`)
    const admit = admitWith(denying, registriesOf({}))

    expect((await admit(update(withImages('nginx', 'nginx')))).denied).toBeNull()
    expect((await admit(update(withImages('nginx', 'redis')))).denied).not.toBeNull()
  })

  it('keeps the pull policy that a rule has set, because an update cannot change it', async () => {
    const pod = withImages('nginx', 'nginx')
    for (const container of pod.spec.containers) container.imagePullPolicy = 'Always'
    const { after } = await admitWith(config, moved())(update(pod))

    expect(findSites(after).map(({ pullPolicy }) => pullPolicy)).toEqual([
      'IfNotPresent',
      'IfNotPresent',
    ])
  })

  it('keeps that pull policy with another image, but not one that no rule has set', async () => {
    const withPolicy = (policy: string, image: string) =>
      podWith(({ spec }) => {
        for (const container of spec.containers)
          Object.assign(container, { image, imagePullPolicy: policy })
      })
    const policiesOf = (pod: unknown) => findSites(pod).map(({ pullPolicy }) => pullPolicy)
    const changed = await admitWith(config, moved())(update(withPolicy('Always', 'nginx:1')))
    const without = configOf('fallback: []\n')
    const other = await admitWith(without, moved())(update(withPolicy('Always', 'nginx:1')))

    expect(policiesOf(changed.after)).toEqual(['IfNotPresent', 'IfNotPresent'])
    expect(policiesOf(other.after)).toEqual(['Always', 'Always'])
  })

  it('keeps only the images that are applied again', async () => {
    const { images } = await admitWith(config, moved())(update(withImages('nginx', 'nginx:1')))

    expect(images).toEqual([running, 'anubis:32000/library/nginx:1'])
  })

  it('does not change when it is admitted twice', async () => {
    const admit = admitWith(config, moved())
    const once = await admit(update(withImages('nginx', 'nginx')))

    expect((await admit(update(once.after))).patch).toEqual([])
  })

  it.each([
    ['the table still has a row for it', config],
    ['no row matches it any more', configOf('fallback: []\n')],
  ])('keeps them if it is a copy of another pod with its records, and %s', async (_, current) => {
    const copy = await admitWith(config, moved())(requestOf(podOf(['nginx', 'nginx'])))
    const admit = admitWith(current, moved())
    const once = await admit(update(copy.after))

    expect(copy.images).not.toEqual(created.images)
    expect(once.after).toEqual(created.after)
    expect((await admit(update(once.after))).patch).toEqual([])
  })

  it('keeps them beyond the limit of a large pod', async () => {
    const images = Array.from({ length: 1_100 }, (_, index) => `team/app${index}`)
    const first = await admitWith(
      config,
      registriesOf({ 'anubis:32000': found(digestA) }),
    )(requestOf(podOf(images)))
    const again = structuredClone(first.after) as Pod
    for (const [index, image] of images.entries())
      Object.assign(again.spec.containers[index] ?? {}, { image })
    const registries = moved()
    const second = await admitWith(config, registries)(update(again, first.after))
    const recorded = first.records.length

    expect(recorded).toBeGreaterThan(200)
    expect(second.images.slice(0, recorded)).toEqual(first.images.slice(0, recorded))
  })
})

describe('a record', () => {
  const nginxB = `anubis:32000/library/nginx:latest@${digestB}`
  const recordsOf = (...records: readonly object[]) => JSON.stringify(records)
  const record = { site: 'containers/c0', from: 'nginx', to: running, row: 'hub', why: 'found' }

  it.each([
    ['names another running image', recordsOf({ ...record, to: 'elsewhere.example/app:1' })],
    ['names another original', recordsOf({ ...record, from: 'nginx:1' })],
    ['is for another site', recordsOf({ ...record, site: 'containers/x' })],
    ['does not parse', '[{'],
  ])('of the old pod has no effect if it %s', async (_, annotation) => {
    const old = podWith((pod) => {
      pod.metadata.annotations = { 'berth.dev/images': annotation }
    })
    const { images } = await admitWith(config, moved())(update(withImages('nginx'), old))

    expect(images[0]).toBe(nginxB)
  })

  it('has no effect if only the request has it', async () => {
    const old = podWith((pod) => {
      delete pod.metadata.annotations
    })
    const { images } = await admitWith(config, moved())(update(withImages('nginx'), old))

    expect(images[0]).toBe(nginxB)
  })
})
