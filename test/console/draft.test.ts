import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  it('says that it is not complete if the time is over, or there are too many images or samples', async () => {
    let time = 0
    const slow = { config, directory: '.', now: () => (time += 2_000) }
    const late = await compareDraft(draft(hub), slow, imagesOf(1_000))
    const all = await compareDraft(draft(hub), { ...slow, now: () => 0 }, imagesOf(20_010))

    if (!late.ok || !all.ok) throw new Error('the draft is not valid')
    expect(late.compared).toBeLessThan(10)
    expect(late.isComplete).toBe(false)
    expect(all).toMatchObject({ compared: 20_000, isComplete: false, more: 19_500 })
  })

  it.each(['ca', 'lock'])('does not wait for a pipe that a draft names as %s', async (key) => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-draft-'))
    execFileSync('mkfifo', [join(directory, 'pipe')])
    const settings =
      key === 'ca'
        ? 'registries: [{ host: m.io, ca: pipe }]'
        : 'pin: { lock: pipe, tags: [latest] }'
    const result = await compareDraft(draft(`${hub}\n${settings}`), { config, directory }, [])

    expect(JSON.stringify(result)).toContain(
      key === 'ca' ? 'cannot read a PEM certificate' : 'pipe',
    )
  })

  it('compares all images of a usual draft', async () => {
    const result = await compareDraft(draft(hub), { config, directory: '.' }, imagesOf(10))

    expect(result).toMatchObject({ compared: 11, isComplete: true })
  })

  it('does not make the samples of thousands of rows and conditions first', async () => {
    const lines = (line: (index: number) => string) =>
      Array.from({ length: 2_000 }, (_, index) => line(index)).join(', ')
    const rows = lines(
      (index) => `{ name: r${index}, images: [a.io/x${index}], try: ['m.io/{path}'] }`,
    )
    const rules = lines(
      (index) => `{ images: [b.io/x], set: Always, when: { namespaces: [n${index}] } }`,
    )
    const text = draft(
      `[${rows}]\nregistries: [{ host: m.io, mirror: true }]\npullPolicy: [${rules}]`,
    )
    let time = 0
    const result = await compareDraft(
      text,
      { config, directory: '.', now: () => (time += 100) },
      [],
    )

    expect(result).toMatchObject({ ok: true, isComplete: false })
  })

  it('lets others have a turn while it compares', async () => {
    let turns = 0
    const timer = setInterval(() => (turns += 1), 1)
    await compareDraft(draft(hub), { config, directory: '.' }, imagesOf(5_000))
    clearInterval(timer)

    expect(turns).toBeGreaterThan(0)
  })
})
