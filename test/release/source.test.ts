import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { publishProblems, readSource, versionProblems } from '../../tools/release/source.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
let directory: string

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']
  const env = { ...process.env, GIT_COMMITTER_DATE: '2026-01-02T03:04:05Z' }
  return execFileSync('git', [...identity, ...args], { cwd: directory, encoding: 'utf8', env })
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-source-'))
  git('init', '-q')
  writeFileSync(join(directory, 'package.json'), '{"version":"1.2.3"}')
  git('add', '.')
  git('commit', '-q', '-m', 'first')
})

afterEach(() => rmSync(directory, { recursive: true }))

describe('readSource', () => {
  it('takes the date of the commit', () => {
    expect(readSource(directory, {})).toMatchObject({
      version: '1.2.3',
      commit: git('rev-parse', 'HEAD').trim(),
      date: new Date('2026-01-02T03:04:05Z'),
      tags: [],
      isDirty: false,
    })
  })

  it('takes the date of SOURCE_DATE_EPOCH', () => {
    expect(readSource(directory, { SOURCE_DATE_EPOCH: '86400' }).date).toEqual(
      new Date('1970-01-02T00:00:00Z'),
    )
  })
})

describe('publishProblems', () => {
  const problems = () => publishProblems(readSource(directory, {}))

  it('accepts a clean commit with the tag of its version', () => {
    git('tag', 'v1.2.3')

    expect(problems()).toEqual([])
  })

  it('refuses changes, and new files', () => {
    git('tag', 'v1.2.3')
    writeFileSync(join(directory, 'new'), '')

    expect(problems()).toEqual([expect.stringContaining('not committed')])
  })

  it('refuses files that git ignores, where all files are released', () => {
    writeFileSync(join(directory, '.gitignore'), '*.log')
    git('add', '.')
    git('commit', '-q', '-m', 'second')
    git('tag', 'v1.2.3')
    writeFileSync(join(directory, 'my.log'), '')
    expect(problems()).toEqual([])
    mkdirSync(join(directory, 'docs'))
    writeFileSync(join(directory, 'docs/my.log'), '')

    expect(problems()).toEqual([expect.stringContaining('not committed')])
  })

  it('refuses a commit with the tag of another version', () => {
    git('tag', 'v1.2.4')

    expect(problems()).toEqual(['the commit has no tag v1.2.3; run: git tag v1.2.3'])
  })
})

describe('versionProblems', () => {
  it('finds the same version in the chart and in the manifests', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      version: string
    }

    expect(versionProblems(root, version)).toEqual([])
  })

  it('names the files with another version', () => {
    for (const path of ['deploy/chart', 'deploy/base']) {
      mkdirSync(join(directory, path), { recursive: true })
      cpSync(join(root, path), join(directory, path), { recursive: true })
    }

    expect(versionProblems(directory, '9.9.9')).toEqual([
      expect.stringMatching(
        /^deploy\/chart\/Chart.yaml: version is .*, and package.json has 9.9.9$/,
      ),
      expect.stringMatching(/^deploy\/chart\/Chart.yaml: appVersion is /),
      expect.stringMatching(/^deploy\/base\/webhook.yaml: the image has another tag/),
      expect.stringMatching(/^deploy\/base\/controller.yaml: the image has another tag/),
    ])
  })
})
