import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { listTree } from '../../src/files/list-tree.ts'

let parent: string
let root: string

beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'berth-test-')))
  root = join(parent, 'root')
  mkdirSync(root)
})

function put(name: string): void {
  mkdirSync(join(parent, name, '..'), { recursive: true })
  writeFileSync(join(parent, name), '')
}

function link(name: string, target: string): void {
  symlinkSync(target, join(parent, name))
}

function list(options: { readonly recursive?: boolean; readonly directory?: string } = {}): {
  readonly files: readonly string[]
  readonly skipped: readonly string[]
} {
  const skipped: string[] = []
  const files = listTree(options.directory ?? root, {
    recursive: options.recursive ?? true,
    includes: (name) => name.endsWith('.yaml'),
    onSkipped: (path, why) => skipped.push(`${relative(parent, path)}: ${why}`),
  })
  return { files: files.map(({ path }) => relative(parent, path)), skipped }
}

describe('listTree', () => {
  it('returns the files of a directory by name, without hidden ones', () => {
    for (const name of ['b.yaml', 'a.yaml', 'c.md', '.d.yaml', 'e/f.yaml', '.g/h.yaml'])
      put(`root/${name}`)

    expect(list()).toEqual({
      files: ['root/a.yaml', 'root/b.yaml', 'root/e/f.yaml'],
      skipped: [],
    })
    expect(list({ recursive: false }).files).toEqual(['root/a.yaml', 'root/b.yaml'])
  })

  it('names links to files and directories outside, and does not follow them', () => {
    put('other.yaml')
    put('other/a.yaml')
    put('root-2/a.yaml')
    link('root/file.yaml', '../other.yaml')
    link('root/directory', join(parent, 'other'))
    link('root/prefix', '../root-2')
    link('root/readme.md', '../other.yaml')

    expect(list()).toEqual({
      files: [],
      skipped: [
        `root/directory: it is a link to ${parent}/other, which is outside of the given directory`,
        `root/file.yaml: it is a link to ${parent}/other.yaml, which is outside of the given directory`,
        `root/prefix: it is a link to ${parent}/root-2, which is outside of the given directory`,
      ],
    })
    expect(list({ recursive: false }).skipped).toHaveLength(1)
  })

  it('follows a link out of the directory through a second link inside of it no more', () => {
    put('other.yaml')
    link('root/one.yaml', 'two.yaml')
    link('root/two.yaml', '../other.yaml')

    expect(list().files).toEqual([])
  })

  it('follows links inside of the directory, as a mounted ConfigMap has them', () => {
    put('root/..2026/berth.yaml')
    link('root/..data', '..2026')
    link('root/berth.yaml', '..data/berth.yaml')

    expect(list()).toEqual({ files: ['root/berth.yaml'], skipped: [] })
  })

  it('lists a directory once, also if links make a loop', () => {
    put('root/a/b.yaml')
    link('root/a/loop', '..')
    link('root/again', 'a')
    link('root/itself.yaml', 'itself.yaml')
    link('root/nowhere.yaml', 'missing')

    expect(list()).toEqual({
      files: ['root/a/b.yaml'],
      skipped: [
        `root/a/loop: it is a link to the directory ${root}, which is read anyway`,
        `root/again: it is a link to the directory ${root}/a, which is read anyway`,
        'root/itself.yaml: it is a link that leads to itself',
        'root/nowhere.yaml: it is a dangling link to missing',
      ],
    })
  })

  it('takes a directory that is given as a link', () => {
    put('root/a.yaml')
    link('link', 'root')

    expect(list({ directory: join(parent, 'link') }).files).toEqual(['link/a.yaml'])
  })

  it('names pipes, and does not open them', () => {
    execFileSync('mkfifo', [join(root, 'pipe.yaml')])

    expect(list()).toEqual({ files: [], skipped: ['root/pipe.yaml: it is not a regular file'] })
  })
})
