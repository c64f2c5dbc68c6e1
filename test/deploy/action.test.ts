import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../..', import.meta.url))
const text = readFileSync(join(root, 'action.yml'), 'utf8')
const action = parse(text) as Action
const scratch = mkdtempSync(join(tmpdir(), 'berth-action-'))

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly shell?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
  readonly 'working-directory'?: string
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>
  readonly runs: { readonly steps: readonly Step[] }
}

afterAll(() => rmSync(scratch, { recursive: true }))

const config = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: mirror.corp, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['mirror.corp/{path}'] }]
`
const pod = (image: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec:\n  containers: [{ name: a, image: ${image} }]\n`

/** Writes files into a new directory, as a repository that uses the action. */
function repository(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(scratch, 'repository-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}

/** Runs the steps as the runner does, up to the first that fails: bash with these options, and expressions in `env`. */
function runAction(
  directory: string,
  given: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
): { code: number; output: string } {
  const input = (expression: string) =>
    expression.replaceAll(
      /\$\{\{ inputs\.([\w-]+) \}\}/g,
      (_, name: string) => given[name] ?? action.inputs[name]?.default ?? '',
    )
  let output = ''
  for (const { run, env = {}, 'working-directory': at = '.' } of action.runs.steps) {
    if (run === undefined) continue
    const isInstall = run.startsWith('npm ci')
    if (isInstall && environment['GITHUB_ACTION_PATH'] === undefined) continue
    const { status, stdout, stderr } = spawnSync(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run],
      {
        cwd: join(directory, input(at)),
        encoding: 'utf8',
        env: {
          PATH: `${join(process.execPath, '..')}:${process.env['PATH']}`,
          GITHUB_ACTION_PATH: root,
          ...environment,
          ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, input(value)])),
        },
      },
    )
    output += stdout + stderr
    if (status !== 0) return { code: status ?? 1, output }
  }
  return { code: 0, output }
}

describe('action.yml', () => {
  it('gives inputs to scripts only as environment variables', () => {
    for (const { run = '' } of action.runs.steps) expect(run).not.toContain('${{')
  })

  it('pins its action to a commit, and describes every input', () => {
    const used = action.runs.steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]))

    expect(used.every((each) => /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(each))).toBe(true)
    const page = readFileSync(join(root, 'docs/repository.md'), 'utf8')
    for (const name of Object.keys(action.inputs)) expect(page).toContain(`| \`${name}\` |`)
  })

  it('installs what the lock file has, without scripts', () => {
    const copy = join(scratch, 'action')
    mkdirSync(copy)
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      cpSync(join(root, name), join(copy, name))
    const install = action.runs.steps.find(({ run }) => run?.startsWith('npm ci'))?.run ?? ''
    const { status, stdout } = spawnSync('bash', ['-ec', install], {
      encoding: 'utf8',
      env: {
        ...process.env,
        GITHUB_ACTION_PATH: copy,
        npm_config_dry_run: 'true',
        npm_config_offline: 'true',
        npm_config_cache: join(scratch, 'cache'),
      },
    })

    expect(status).toBe(0)
    expect(stdout).toMatch(/^add fastify /m)
    expect(stdout).not.toMatch(/^add vitest /m)
  }, 60_000)

  it('passes a config and manifests that Berth would not change', () => {
    const files = { 'berth.yaml': config, 'k8s/a/pod.yaml': pod('mirror.corp/library/nginx:1') }
    const { code, output } = runAction(repository(files), { files: 'k8s', probe: 'false' })

    expect({ code, output }).toMatchObject({
      code: 0,
      output: expect.not.stringContaining('::error'),
    })
  }, 60_000)

  it('fails if Berth would change a manifest, and names the image', () => {
    const files = {
      'berth.yaml': config,
      'k8s/a/pod.yaml': pod('nginx:1'),
      'more.yaml': pod('a/b'),
    }
    const { code, output } = runAction(repository(files), {
      files: 'k8s\n\nmore.yaml\n',
      probe: 'false',
    })

    expect(code).toBe(1)
    expect(output).toContain('k8s/a/pod.yaml:5: Pod a: containers/a: nginx:1 → mirror.corp')
    expect(output).toContain('more.yaml:5: ')
    expect(output).toMatch(/::error::Berth would change these manifests/)
  }, 60_000)

  it('fails if the mirror does not answer, and says what to do', () => {
    const away = config.replace('mirror: true', "mirror: true, endpoint: 'http://127.0.0.1:1'")
    const directory = repository({ 'berth.yaml': away, 'pod.yaml': pod('nginx:1') })
    const { code, output } = runAction(directory, { files: 'pod.yaml' })

    expect(code).toBe(3)
    expect(output).toContain('mirror.corp (unreachable)')
    expect(output).toMatch(/::error::A registry did not say .*set probe: false/)
    expect(runAction(directory, { files: 'pod.yaml', probe: 'false' }).code).toBe(1)
  }, 60_000)

  it('checks the config alone without files, in another directory', () => {
    const directory = repository({ 'sub/other.yaml': config })
    const given = { 'working-directory': 'sub', config: 'other.yaml' }

    expect(runAction(directory, given).code).toBe(0)
    expect(runAction(directory, { ...given, tests: 'true' }).code).toBe(1)
  }, 60_000)

  it('annotates the line of an error in the config', () => {
    const { code, output } = runAction(repository({ 'berth.yaml': `${config}colour: red\n` }), {})

    expect(code).toBe(2)
    expect(output).toMatch(/^::error file=berth.yaml,line=5,col=1/m)
  }, 60_000)

  it('runs nothing that an input or the name of a file contains', () => {
    const hostile = '$(touch pwned) `touch pwned`; touch pwned #\' "'
    const directory = repository({ 'berth.yaml': config, '::error::x.yaml': pod('nginx:1') })
    const inputs = Object.keys(action.inputs).filter((name) => name !== 'working-directory')
    runAction(directory, Object.fromEntries(inputs.map((name) => [name, hostile])))
    runAction(directory, { files: hostile, probe: 'false' })
    const option = runAction(directory, { files: '--in-place', probe: 'false' })
    const { output } = runAction(directory, { files: '.', probe: 'false' })

    expect(existsSync(join(directory, 'pwned'))).toBe(false)
    expect(option.code).toBe(2)
    const [, token = ''] = /^::stop-commands::(.+)$/m.exec(output) ?? []
    expect(token).not.toBe('')
    const commands = output.slice(0, output.indexOf('::stop-commands'))
    const after = output.slice(output.lastIndexOf(`::${token}::`))
    expect(`${commands}${after}`).not.toContain('::x.yaml')
  }, 120_000)
})
