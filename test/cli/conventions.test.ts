import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { documentedCommands } from '../../src/cli/command-reference.ts'
import { pathOf } from '../../src/cli/verb.ts'
import { berth } from '../support/io.ts'

/** What all commands have in common. */

const directory = mkdtempSync(join(tmpdir(), 'berth-conventions-'))
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}
const config = file(
  'berth.yaml',
  `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] }]
`,
)
const other = file(
  'other.yaml',
  `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
fallback: [{ name: hub, images: ['docker.io/**'], try: ['n.example/{host}/{path}'] }]
`,
)
const pod = file(
  'pod.yaml',
  'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: nginx }] }\n',
)

describe('--output', () => {
  it('offers yaml wherever it offers json', async () => {
    const formats = (await documentedCommands()).flatMap((command) => {
      const { argChoices = [] } = command.options.find(({ long }) => long === '--output') ?? {}
      return argChoices.includes('json') ? [[pathOf(command), argChoices.includes('yaml')]] : []
    })

    expect(formats.length).toBeGreaterThan(10)
    expect(formats.filter(([, hasYaml]) => hasYaml !== true)).toEqual([])
  })

  it.each([
    [['check', config]],
    [['diff', config, other]],
    [['explain', 'nginx', '--no-probe', '--config', config]],
    [['mirror', 'nginx', 'redis', '--dry-run', '--no-probe', '--config', config]],
    [['nodes', 'render', '--target', 'containerd', '--config', config]],
    [
      [
        'nodes',
        'apply',
        '--target',
        'containerd',
        '--dry-run',
        '--root',
        directory,
        '--config',
        config,
      ],
    ],
    [['nodes', 'check', '--target', 'containerd', '--root', directory, '--config', config]],
    [['rewrite', '-f', pod, '--no-probe', '--config', config]],
  ])('has the same data as YAML and as JSON: berth %j', async (args) => {
    const asJson = await berth([...args, '-o', 'json'])
    const asYaml = await berth([...args, '-o', 'yaml'])

    const valuesOf = (text: string) => parseAllDocuments(text).map((each) => each.toJS() as unknown)
    expect(asYaml.code).toBe(asJson.code)
    expect(asYaml.stdout).not.toMatch(/^\s*[{[]/)
    expect(valuesOf(asYaml.stdout)).toEqual(
      args[0] === 'mirror'
        ? asJson.stdout
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as unknown)
        : valuesOf(asJson.stdout),
    )
  })
})

describe('a path that cannot be read', () => {
  const missing = join(directory, 'missing.yaml')
  const folder = directory
  const forms = (path: string) => [
    ['check', path],
    ['check', '--config', path],
    ['explain', 'nginx', '--no-probe', '--config', path],
    ['diff', path, config],
    ['dev', '--once', '--config', config, '--review', path],
    ['rewrite', '--config', path, '-f', pod],
    ['rewrite', '--kustomize-out', join(path, 'out'), '--config', config, '-f', pod],
    ['lock', '--config', path, '-f', pod],
    ['mirror', 'nginx', '--config', path],
    ['drift', 'nginx', '--config', path],
    ['nodes', 'render', '--target', 'containerd', '--config', path],
    ['nodes', 'apply', '--target', 'containerd', '--rendered', path, '--root', directory],
    ['report', '--kubeconfig', path, '--config', config],
    ['serve', '--config', path, '--tls-cert', path, '--tls-key', path],
    ['serve', '--config', config, '--client-ca', path],
    ['policies', 'render', '--config', config, '--policies', path],
  ]

  it.each([...forms(missing), ...forms(folder)].map((args) => [args] as const))(
    'is reported in words, not as the code of an error: berth %j',
    async (args) => {
      const { code, stderr } = await berth(args)

      expect(code).not.toBe(70)
      expect(stderr).not.toMatch(/\bE(?:NOENT|ISDIR|NOTDIR|EXIST|ACCES)\b/)
      if (code === 0) expect(args).toContain(folder)
    },
  )
})
