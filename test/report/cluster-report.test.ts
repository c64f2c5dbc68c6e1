import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import type { AdmissionMode } from '../../src/report/admission-mode.ts'
import { buildReport, type ReportLine } from '../../src/report/cluster-report.ts'
import type { PodImage } from '../../src/report/inventory.ts'
import { failed, found, registriesOf } from '../support/manifest-answers.ts'
import { barePod } from '../support/tables.ts'

const config = (more = '') => {
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, mirror: true }
fallback:
  - { name: left, images: ['docker.io/left/*'], leave: true }
  - { name: database, when: { namespaces: [db] }, leave: true }
  - { name: first, images: ['docker.io/first/*'], try: ['mirror.example/{path}'], otherwise: first }
  - { name: deny, images: ['docker.io/deny/*'], try: ['mirror.example/{path}'], otherwise: deny }
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
${more}`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.config
}

const out: AdmissionMode = { mode: 'out', why: 'the namespace is excluded' }

async function line(
  image: string,
  answers: Parameters<typeof registriesOf>[0],
  { more, ...changes }: Partial<PodImage> & { readonly more?: string } = {},
): Promise<Partial<ReportLine>> {
  const running: PodImage = {
    image,
    namespace: 'shop',
    runs: [image],
    pods: 1,
    pod: barePod,
    admission: { mode: 'enforce' },
    isNeverPulled: false,
    ...changes,
  }
  const { images } = await buildReport(
    {
      config: config(more),
      resolve: registriesOf(answers).dependencies,
      imageTimeoutMs: 1_000,
      parallelImages: 1,
    },
    [running],
  )
  return images[0] ?? {}
}

const everywhere = { 'mirror.example': found(), 'docker.io': found() }

describe('buildReport', () => {
  it('finds that an image comes offline which a new pod gets from the mirror', async () => {
    expect(await line('nginx:1', everywhere)).toMatchObject({
      mirrored: true,
      becomes: 'mirror.example/library/nginx:1',
    })
  })

  it.each<[string, string, Parameters<typeof line>[2]]>([
    ['in an excluded namespace', 'nginx:1', { admission: out }],
    ['in observe mode', 'nginx:1', { admission: { mode: 'observe' } }],
    ['under a config in observe mode', 'nginx:1', { more: 'mode: observe' }],
    ['with a row that leaves it', 'left/app:1', {}],
    [
      'with a row that leaves it by its condition',
      'nginx:1',
      { pod: { ...barePod, namespace: 'db' } },
    ],
  ])('finds that an image needs the internet %s', async (_, image, changes) => {
    expect(await line(image, everywhere, changes)).toMatchObject({ mirrored: false })
  })

  it('asks the mirror for an image that the pod names there', async () => {
    const image = 'mirror.example/team/app:1'

    expect(await line(image, everywhere, { admission: out })).toMatchObject({ mirrored: true })
    expect(await line(image, {}, { admission: out })).toMatchObject({ mirrored: false })
    expect(await line(image, {})).toMatchObject({ mirrored: false })
    expect(
      await line(image, { 'mirror.example': failed('unreachable') }, { admission: out }),
    ).toMatchObject({ mirrored: null })
  })

  it('does not count an image that the row takes without proof', async () => {
    expect(await line('first/app:1', {})).toMatchObject({
      mirrored: false,
      becomes: 'mirror.example/first/app:1',
    })
  })

  it('has no image for a pod that the row denies', async () => {
    expect(await line('deny/app:1', {})).toMatchObject({ mirrored: false, becomes: null })
  })

  it('does not know the answer of a mirror that is down, if a new pod would use the mirror', async () => {
    const down = { 'mirror.example': failed('unreachable') }

    expect(await line('nginx:1', down)).toMatchObject({ mirrored: null })
    expect(await line('nginx:1', down, { admission: out })).toMatchObject({ mirrored: false })
  })

  it('counts an image that nothing pulls', async () => {
    expect(await line('nginx:1', {}, { isNeverPulled: true })).toMatchObject({ mirrored: true })
  })
})
