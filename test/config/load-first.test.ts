import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadFirstConfig } from '../../src/config/load-first.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))

function put(name: string, comment: string): string {
  const file = join(directory, name)
  writeFileSync(
    file,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}'] }]
# ${comment}
`,
  )
  return file
}

let workers: Worker[]
const add = (worker: Worker) => workers.push(worker)

beforeEach(() => {
  workers = []
  process.on('worker', add)
})

afterEach(() => {
  process.off('worker', add)
})

describe('loadFirstConfig', () => {
  it.each([
    ['loads a small file in its own thread', put('small.yaml', 'small'), 0],
    ['loads a large file in a worker', put('large.yaml', '#'.repeat(300_000)), 1],
  ])('%s', async (_, file, expected) => {
    const config = await loadFirstConfig(file)

    expect(config.table.rows.map(({ name }) => name)).toEqual(['hub'])
    expect(workers).toHaveLength(expected)
  })

  it.each([
    ['a missing file', '/nowhere/berth.yaml', 'config-unreadable'],
    ['a directory', directory, 'config-unreadable'],
  ])('names the problem of %s', async (_, file, code) => {
    await expect(loadFirstConfig(file)).rejects.toMatchObject({ name: 'BerthError', code })
  })
})
