import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { watchConfig } from '../../src/config/watch.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'

/** Polls often, and without workers, which take seconds to start on a busy machine. */
const fast = { intervalMs: 5, load: async (file: string) => Promise.resolve(loadConfig(file)) }

const until = (isReached: () => void) => vi.waitFor(isReached, { timeout: 30_000 })

describe('watchConfig', () => {
  it.each([
    ['a changed config', `${head}mode: observe\n`, ['observe']],
    ['an invalid config', 'kind: Nothing\n', ['error']],
    ['the same config', head, []],
  ])('reports %s that was written before it starts', async (_, text, expected) => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(file, head)
    const current = loadConfig(file)
    writeFileSync(file, text)
    const reported: string[] = []
    const watch = watchConfig(file, {
      ...fast,
      current,
      onConfig: ({ mode }: Config) => reported.push(mode),
      onError: () => reported.push('error'),
    })
    await until(() => expect(reported).toEqual(expected))
    writeFileSync(file, `${head}mode: observe\n# 2\n`)
    await until(() => expect(reported).toEqual([...expected, 'observe']))
    watch.stop()
  })

  it('reports nothing after it is stopped', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(file, head)
    const current = loadConfig(file)
    writeFileSync(file, `${head}mode: observe\n`)
    const reported: unknown[] = []
    const report = (each: unknown) => void reported.push(each)
    const loading = Promise.withResolvers<Config>()
    const watch = watchConfig(file, {
      current,
      onConfig: report,
      onError: report,
      load: () => loading.promise,
    })
    watch.stop()
    loading.resolve(loadConfig(file))
    await loading.promise

    expect(reported).toEqual([])
  })

  it('reports a changed lock file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
    const file = join(directory, 'berth.yaml')
    writeFileSync(file, `${head}pin: { lock: berth.lock }\n`)
    const reported: (number | string)[] = []
    const watch = watchConfig(file, {
      ...fast,
      current: loadConfig(file),
      onConfig: ({ lock }: Config) => reported.push(lock?.images.size ?? -1),
      onError: () => reported.push('error'),
    })
    const image = { image: 'docker.io/library/a:1', digest: `sha256:${'a'.repeat(64)}` }
    const lock = { apiVersion: 'berth.dev/v1alpha1', kind: 'BerthLock' }

    writeFileSync(
      join(directory, 'berth.lock'),
      JSON.stringify({ ...lock, images: [{ ...image, from: 'docker.io', date: '2026-11-21' }] }),
    )
    await until(() => expect(reported).toEqual([1]))
    writeFileSync(join(directory, 'berth.lock'), 'broken: true')
    await until(() => expect(reported).toEqual([1, 'error']))
    watch.stop()
  })
})
