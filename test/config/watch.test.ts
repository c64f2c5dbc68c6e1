import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { watchConfig } from '../../src/config/watch.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'

it.each([
  ['another config', `${head}mode: observe\n`, ['observe']],
  ['a broken one', 'kind: Nothing\n', ['error']],
  ['the same', head, []],
])('a file that holds %s by the time it is watched is not passed over', (_, text, want) => {
  const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
  writeFileSync(file, head)
  const inForce = loadConfig(file)
  writeFileSync(file, text)
  const told: string[] = []
  const watch = watchConfig(file, {
    inForce,
    onConfig: ({ mode }: Config) => told.push(mode),
    onError: () => told.push('error'),
  })
  watch.stop()

  expect(told).toEqual(want)
})
