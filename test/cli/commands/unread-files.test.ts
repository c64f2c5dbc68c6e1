import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const pod = (image: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: ${image} }] }\n`
const release = (name: string) =>
  `apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: { name: ${name} }\nspec: { values: {} }\n`

let directory: string
let config: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  mkdirSync(join(directory, 'm/deep'), { recursive: true })
  config = put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }]
`,
  )
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const run = (verb: string, args: readonly string[], input = '') =>
  berth([verb, '--config', config, ...args], input)
const rewrite = (...args: string[]) =>
  run('rewrite', ['--no-probe', '-f', join(directory, 'm'), ...args])

describe('a file that cannot be read in a directory', () => {
  beforeEach(() => {
    put('m/a.yaml', 'a: [')
    put('m/b.yaml', pod('nginx:1'))
    put('m/c.yaml', 'b: [')
  })

  it('does not keep rewrite from showing the others, and is listed at the end', async () => {
    const { code, stdout, stderr } = await rewrite('--diff')

    expect(code).toBe(2)
    expect(stdout).toContain('anubis:32000/library/nginx:1')
    expect(stderr).toMatch(
      /not all files can be read:\nberth: manifest-invalid: .*m\/a\.yaml:1: .*\n.*m\/c\.yaml:1: /,
    )
  })

  it('keeps rewrite from printing a part of the manifests', async () => {
    const { code, stdout, stderr } = await rewrite()

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('no manifests are printed, because not all files can be read')
    expect(stderr).toContain('→ anubis:32000/library/nginx:1')
  })

  it('keeps rewrite --in-place from changing any file', async () => {
    const { code, stderr } = await rewrite('--in-place')

    expect(code).toBe(2)
    expect(stderr).toContain('no file is changed, because not all files can be read')
    expect(readFileSync(join(directory, 'm/b.yaml'), 'utf8')).toBe(pod('nginx:1'))
  })

  it('does not keep rewrite --check and -o json from listing the others', async () => {
    const check = await rewrite('--check')
    const json = await rewrite('-o', 'json')

    expect([check.code, json.code]).toEqual([2, 2])
    expect(check.stdout).toContain('→ anubis:32000/library/nginx:1')
    expect(JSON.parse(json.stdout)).toMatchObject([{ from: 'nginx:1' }])
  })

  it('does not keep diff from comparing the others', async () => {
    const other = put(
      'other.yaml',
      readFileSync(config, 'utf8').replace("'anubis:32000/{path}', ", ''),
    )
    const { code, stdout } = await berth(['diff', config, other, '-f', join(directory, 'm')])

    expect(code).toBe(2)
    expect(stdout).toContain('nginx:1')
  })

  it('keeps lock from changing the lock file', async () => {
    put('m/b.yaml', pod(`nginx:1@sha256:${'a'.repeat(64)}`))
    const file = join(directory, 'berth.lock')
    const { code, stderr } = await run('lock', ['-f', join(directory, 'm'), '--out', file])

    expect(code).toBe(2)
    expect(stderr).toContain('berth.lock is not changed, because not all manifests can be read')
    expect(existsSync(file)).toBe(false)
  })

  it('does not keep mirror and drift from handling the others', async () => {
    put('m/b.yaml', pod('ghcr.io/a/b:1'))
    for (const verb of ['mirror', 'drift']) {
      const { code, stderr } = await run(verb, ['-f', join(directory, 'm')])

      expect(code).toBe(2)
      expect(stderr).toContain('ghcr.io/a/b:1 is skipped')
      expect(stderr).toMatch(/m\/a\.yaml:1: .*\n.*m\/c\.yaml:1: /)
    }
  })

  it('ends the command at once if no other file can be read', async () => {
    put('m/b.yaml', 'c: [')
    const { code, stderr } = await run('mirror', ['-f', join(directory, 'm')])

    expect(code).toBe(2)
    expect(stderr).not.toContain('nothing to do')
  })
})

describe('a source without manifests', () => {
  it.each(['rewrite', 'mirror', 'lock', 'drift'])(
    'is an error of %s, which says that -R looks below',
    async (verb) => {
      put('m/deep/pod.yaml', pod('nginx:1'))
      const { code, stderr } = await run(verb, ['-f', join(directory, 'm')])

      expect(code).toBe(2)
      expect(stderr).toContain(
        'm has no manifests: no file whose name ends in .yaml, .yml or .json; -R looks below',
      )
    },
  )

  it('is an error without the hint if there is nothing below', async () => {
    const { code, stderr } = await rewrite('-R')

    expect(code).toBe(2)
    // The name of the directory is random.
    expect(stderr).toMatch(/ends in \.yaml, \.yml or \.json\n$/)
  })

  it('is a directory of templates', async () => {
    put('m/a.yaml', '{{- if .a }}\na: b\n')
    put('m/b.yaml', '{{- if .b }}\na: b\n')
    const { code, stdout, stderr } = await rewrite('--check')

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(
      /2 files are skipped, because each looks like a template; render it first \(.*a\.yaml:1, .*b\.yaml:1\)/,
    )
    expect(stderr).toContain('manifest-invalid: no manifests: all 2 files are skipped')
  })

  it.each([
    ['explain', ['--no-probe', '-'], 'standard input has no image names'],
    ['mirror', ['-'], 'standard input has no image names'],
    ['mirror', ['-f', '-'], 'standard input is empty'],
    ['lock', ['-f', '-'], 'standard input is empty'],
    ['rewrite', ['--check', '--no-probe', '-f', '-'], 'standard input is empty'],
  ])('is empty standard input of %s %j', async (verb, args, message) => {
    const { code, stdout, stderr } = await run(verb, args)

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  it('is not empty standard input of rewrite in a pipe, because a chart may have no manifests', async () => {
    expect(await run('rewrite', ['--no-probe', '-f', '-'])).toMatchObject({ code: 0, stdout: '' })
  })
})

describe('notes', () => {
  it('name dangling links and their targets', async () => {
    symlinkSync('gone.yaml', join(directory, 'm/link.yaml'))
    put('m/pod.yaml', pod('nginx:1'))
    const found = await rewrite()
    const given = await run('rewrite', ['-f', join(directory, 'm/link.yaml')])

    expect(found.stderr).toContain(
      'm/link.yaml: skipped, because it is a dangling link to gone.yaml',
    )
    expect(given.code).toBe(2)
    expect(given.stderr).toContain('m/link.yaml cannot be read: it is a dangling link to gone.yaml')
  })

  it('are grouped if they say the same about one kind', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(`m/${name}.yaml`, release(name))
    put('m/pod.yaml', pod('Nginx'))
    const { code, stderr } = await rewrite('--diff')

    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^5 HelmReleases: images in Helm values are changed only by.* \(.*a\.yaml:1, .*b\.yaml:1, .*c\.yaml:1 and 2 more\)$/m,
    )
    expect(stderr).toMatch(/m\/pod\.yaml:4: Pod p: containers\/c: Nginx is not a valid image/)
    expect(stderr.trimEnd().split('\n')).toHaveLength(2)
  })
})
