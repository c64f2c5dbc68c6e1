import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const pod = (namespace: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: ${namespace} }\nspec: { containers: [{ name: c, image: 'nginx:1' }] }\n`
const namespaceWith = (name: string, label: string) =>
  `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: { ${label} } }\n`
const rows = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'] }]
`

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const rewrite = (files: readonly string[], config = rows, isTTY = false) =>
  berth(
    [
      'rewrite',
      '--no-probe',
      '--config',
      put('berth.config', config),
      ...files.flatMap((file) => ['-f', file]),
      ...(isTTY ? ['--diff'] : []),
    ],
    '',
    undefined,
    isTTY,
  )

describe('berth rewrite for namespaces that the webhook does not change', () => {
  it('leaves pods unchanged whose namespace opts out, also in another file', async () => {
    const file = put('pod.yaml', pod('web'))
    const namespace = put('namespace.yaml', namespaceWith('web', 'berth.dev/rewrite: disabled'))
    const { code, stdout, stderr } = await rewrite([file, namespace])

    expect(code).toBe(0)
    expect(stdout).toContain('nginx:1')
    expect(stdout).not.toContain('anubis')
    expect(stderr).toContain(
      'pod.yaml:1: Pod p: left unchanged, because namespace web has the label berth.dev/rewrite: disabled',
    )
  })

  it('rewrites the pods of other namespaces without a note', async () => {
    const file = put('pod.yaml', pod('web'))
    const namespace = put('namespace.yaml', namespaceWith('other', 'berth.dev/rewrite: disabled'))
    const { stdout, stderr } = await rewrite([file, namespace])

    expect(stdout).toContain('anubis:32000/library/nginx:1')
    expect(stderr).not.toContain('namespace')
  })

  it.each([
    ['kube-system', '', 'rewritten, but the webhook excludes namespace kube-system'],
    [
      'web',
      namespaceWith('web', 'berth.dev/mode: observe'),
      'rewritten, but namespace web has the label berth.dev/mode: observe',
    ],
  ])('notes that pods of %s are rewritten anyway', async (name, namespace, note) => {
    const { stdout, stderr } = await rewrite([put('pod.yaml', `${pod(name)}---\n${namespace}`)])

    expect(stdout).toContain('anubis:32000/library/nginx:1')
    expect(stderr).toContain(`Pod p: ${note}`)
  })

  it('notes that a config with mode: observe changes no pods', async () => {
    const { stdout, stderr } = await rewrite(
      [put('pod.yaml', pod('web'))],
      `${rows}mode: observe\n`,
    )

    expect(stdout).toContain('anubis:32000/library/nginx:1')
    expect(stderr).toContain('the config has mode: observe')
  })
})

describe('berth rewrite --diff', () => {
  it('has colour on a terminal', async () => {
    const file = put('pod.yaml', pod('web'))
    const { stdout } = await rewrite([file], rows, true)

    expect(stdout).toContain('\u001b[31m-spec: ')
    expect(stdout).toContain('\u001b[32m+spec: ')
  })
})
