import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { emptyOutput } from '../../tools/release/output.ts'

const parent = () => mkdtempSync(join(tmpdir(), 'berth-output-'))

it('creates the directory, and removes an earlier release from it', () => {
  const out = join(parent(), 'a/release')
  emptyOutput(out)
  writeFileSync(join(out, 'SHA256SUMS'), '')
  mkdirSync(join(out, 'oci'))
  emptyOutput(out)

  expect(readdirSync(out)).toEqual([])
})

it('leaves a directory with other files as it is', () => {
  const out = parent()
  writeFileSync(join(out, 'thesis.txt'), '')

  expect(() => emptyOutput(out)).toThrow(`${out} has files, and is not an earlier release`)
  expect(existsSync(join(out, 'thesis.txt'))).toBe(true)
})
