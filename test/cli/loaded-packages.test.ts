import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Prints the names of the packages and builtin modules that are loaded, one per line, to standard error. */
const tracer = `
import { writeSync } from 'node:fs'
import { registerHooks } from 'node:module'
const names = new Set()
registerHooks({
  load: (url, context, next) => {
    const name = url.startsWith('node:') ? url : /\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]
    if (name !== undefined) names.add(name)
    return next(url, context)
  },
})
process.on('exit', () => writeSync(2, [...names].map((name) => 'loaded ' + name + '\\n').join('')))
`

function loadedBy(...args: string[]): string[] {
  const hook = `data:text/javascript,${encodeURIComponent(tracer)}`
  const { stderr } = spawnSync(process.execPath, ['--import', hook, 'src/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return [...stderr.matchAll(/^loaded (.*)$/gm)].map(([, name = '']) => name).sort()
}

const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
}

const dependenciesIn = (names: readonly string[]) =>
  names.filter((name) => Object.hasOwn(dependencies, name))

const config = 'webhook-config/examples/docker-hub.yaml'

describe('loaded packages', () => {
  it('are only commander for --version', () => {
    expect(dependenciesIn(loadedBy('--version'))).toEqual(['commander'])
  })

  it('are only those that read a config for explain --no-probe', () => {
    const loaded = loadedBy('explain', 'nginx', '--no-probe', '--config', config)

    expect(dependenciesIn(loaded)).toEqual([
      'commander',
      'minimatch',
      'p-limit',
      'semver',
      'yaml',
      'zod',
    ])
    // Each takes milliseconds to load.
    for (const name of ['node:http', 'node:tls', 'node:crypto', 'node:worker_threads'])
      expect(loaded).not.toContain(name)
  })
})
