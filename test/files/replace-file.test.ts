import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { readRealFile } from '../../src/files/read-limited.ts'
import { replaceFile } from '../../src/files/replace-file.ts'

let directory: string
let file: string

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'berth-test-')))
  file = join(directory, 'file')
  writeFileSync(file, 'old')
})

describe('replaceFile', () => {
  it('replaces the text and keeps the permissions', () => {
    chmodSync(file, 0o666)
    replaceFile(file, 'new')

    expect(readFileSync(file, 'utf8')).toBe('new')
    expect(statSync(file).mode & 0o777).toBe(0o666)
    expect(readdirSync(directory)).toEqual(['file'])
  })

  it('creates a file with the permissions that the umask leaves', () => {
    const before = process.umask(0o027)
    try {
      replaceFile(join(directory, 'other'), 'new')
    } finally {
      process.umask(before)
    }

    expect(statSync(join(directory, 'other')).mode & 0o777).toBe(0o640)
  })

  it('keeps a link, and replaces what it leads to', () => {
    symlinkSync('file', join(directory, 'link'))
    replaceFile(join(directory, 'link'), 'new')

    expect(lstatSync(join(directory, 'link')).isSymbolicLink()).toBe(true)
    expect(readFileSync(file, 'utf8')).toBe('new')
  })

  it('does not change another name of the file', () => {
    linkSync(file, join(directory, 'hard'))
    replaceFile(file, 'new')

    expect(readFileSync(join(directory, 'hard'), 'utf8')).toBe('old')
  })

  it('ignores files of someone else with a similar name', () => {
    symlinkSync(file, `${file}.berth-new`)
    symlinkSync(file, join(directory, '.file.new'))
    replaceFile(file, 'new')

    expect(lstatSync(`${file}.berth-new`).isSymbolicLink()).toBe(true)
  })

  it.each([
    ['a directory', () => mkdirSync(join(directory, 'other')), 'it is a directory'],
    [
      'a broken symbolic link',
      () => symlinkSync('missing', join(directory, 'other')),
      'it is a broken symbolic link',
    ],
    [
      'a pipe',
      () => execFileSync('mkfifo', [join(directory, 'other')]),
      'it is not a regular file',
    ],
  ])('rejects %s, and leaves no other file', (_, prepare, why) => {
    prepare()
    const names = readdirSync(directory)

    expect(() => replaceFile(join(directory, 'other'), 'new')).toThrow(
      expect.objectContaining({
        code: 'file-unwritable',
        message: `${directory}/other cannot be written: ${why}`,
      }),
    )
    expect(readdirSync(directory)).toEqual(names)
  })

  it('rejects a file in a directory that does not exist', () => {
    expect(() => replaceFile('/nowhere/file', 'new')).toThrow(
      '/nowhere/file cannot be written: it does not exist',
    )
  })

  it.each([
    ['changed', () => writeFileSync(file, 'else')],
    [
      'replaced by a link',
      () => {
        renameSync(file, join(directory, 'moved'))
        symlinkSync('moved', file)
      },
    ],
    ['removed', () => rmSync(file)],
    [
      'moved with its directory, which is a link now',
      () => {
        renameSync(directory, `${directory}-moved`)
        symlinkSync(`${directory}-moved`, directory)
      },
    ],
  ])('leaves a file that was %s after it was read', (_, change) => {
    const { state } = readRealFile(file, 100)
    change()
    const names = readdirSync(directory)

    expect(() => replaceFile(file, 'new', state)).toThrow(
      `${file} cannot be written: it was changed after Berth read it; run the command again`,
    )
    expect(readdirSync(directory)).toEqual(names)
    expect(names.map((name) => readFileSync(join(directory, name), 'utf8'))).not.toContain('new')
  })

  it('replaces a file that is as it was read', () => {
    const { bytes, state } = readRealFile(file, 100)
    replaceFile('as the user wrote it', `${bytes.toString()} and new`, state)

    expect(readFileSync(file, 'utf8')).toBe('old and new')
  })
})
