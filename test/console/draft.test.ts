import { describe, expect, it } from 'vitest'
import { compareDraft } from '../../src/console/draft.ts'
import { configOf } from '../support/admission.ts'

const config = configOf('')
const draft = (rows: string) =>
  `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback: ${rows}\n`
const hub =
  "[{ name: hub, images: ['docker.io/**'], try: ['m.example/{path}', 'docker.io/{path}'] }]"
const imagesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    image: `nginx:${index}`,
    namespace: 'shop',
    pod: { namespace: 'shop', labels: {}, owners: [], platforms: [] },
    runs: [],
    pods: 1,
    admission: { mode: 'unknown', why: '' } as const,
    isNeverPulled: false,
  }))

describe('compareDraft', () => {
  it('counts the images that it does not compare, because the time is over or there are too many', async () => {
    let time = 0
    const slow = { config, directory: '.', now: () => (time += 2_000) }
    const late = await compareDraft(draft(hub), slow, imagesOf(1_000))
    const all = await compareDraft(draft(hub), { ...slow, now: () => 0 }, imagesOf(20_010))

    if (!late.ok || !all.ok) throw new Error('the draft is not valid')
    expect(late.compared).toBeLessThan(10)
    expect(late.compared + late.notCompared).toBe(1_001)
    expect(all).toMatchObject({ compared: 20_000, notCompared: 11, more: 19_500 })
  })

  it('lets others have a turn while it compares', async () => {
    let turns = 0
    const timer = setInterval(() => (turns += 1), 1)
    await compareDraft(draft(hub), { config, directory: '.' }, imagesOf(5_000))
    clearInterval(timer)

    expect(turns).toBeGreaterThan(5)
  })
})
