import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { documentedCommands } from '../../src/cli/command-reference.ts'
import { pathOf } from '../../src/cli/verb.ts'
import {
  clusterObjects,
  configOf,
  digest,
  errorBody,
  escapeNonAscii,
  hostile,
  podOf,
} from '../support/hostile-text.ts'
import { berth } from '../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../support/registry.ts'
import { type ScriptedApiServer, startScriptedApiServer } from '../support/scripted-api-server.ts'

const unsafe = /[^\P{Control}\n\t]|[\p{Bidi_Control}\p{Line_Separator}\p{Paragraph_Separator}]/u

/** What Berth's own colours are made of. */
// oxlint-disable-next-line no-control-regex
const colours = /\u001B\[(?:1|2|22|31|32|33|39)m/g

const directory = mkdtempSync(join(tmpdir(), 'berth-hostile-'))
let server: ScriptedApiServer
let registry: FakeRegistry
let files: ReturnType<typeof writeFiles>

beforeAll(async () => {
  registry = await startFakeRegistry({
    behave: () => ({ status: 404, body: errorBody(hostile), headers: { 'x-error': 'denied' } }),
  })
  server = await startScriptedApiServer({ isHttps: true })
  files = writeFiles()
  for (const [resource, object] of clusterObjects()) server.kube.put(resource, object)
  server.scriptAlways({ path: /rollouts|leases|roles/ }, (response) => {
    const message = `no ${hostile} ${'x'.repeat(1_000_000)}`
    response.writeHead(403, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'Status', code: 403, reason: hostile, message }))
  })
  await berth(['certs', '--out', join(directory, 'certs'), '--names', 'localhost'])
})

afterAll(async () => {
  await server.close()
  await registry.close()
})

function put(name: string, value: unknown): string {
  const file = join(directory, name)
  mkdirSync(join(file, '..'), { recursive: true })
  // JSON is YAML, and escapes what YAML does not allow.
  writeFileSync(file, typeof value === 'string' ? value : escapeNonAscii(JSON.stringify(value)))
  return file
}

function writeFiles() {
  const config = put('berth.yaml', configOf(registry.url, 'mirror.example', hostile))
  put(`root/etc/containerd/certs.d/host${hostile.replaceAll('/', '')}/hosts.toml`, 'x = [')
  put('root/etc/containerd/certs.d/docker.io/hosts.toml', '"\\u001b]0;key" = 1\n')
  put('root/etc/containerd/config.toml', 'version = 3\n')
  return {
    config,
    other: put('other.yaml', configOf(registry.url, 'other.example', 'x')),
    invalid: put('invalid.yaml', { apiVersion: hostile, [hostile]: hostile, mode: hostile }),
    pod: put('pod.json', podOf(`web${hostile}`)),
    valid: put('valid.json', {
      ...podOf(`web${hostile}`),
      spec: { containers: [{ name: hostile, image: 'nginx:1' }] },
    }),
    /** YAML that may have some of the characters as they are. */
    bidi: put(
      'bidi.yaml',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: "a\u202Eb\u2028" }\nspec: { containers: [{ image: nginx:1 }] } # \u202E\n',
    ),
    review: put('review.json', {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: `u${hostile}`,
        operation: 'CREATE',
        namespace: 'shop',
        resource: { group: '', version: 'v1', resource: 'pods' },
        object: podOf(`web${hostile}`, 'shop'),
      },
    }),
    lock: put('berth.lock', {
      apiVersion: 'berth.dev/v1alpha1',
      kind: 'BerthLock',
      images: [{ image: 'docker.io/library/gone:1', digest, from: hostile, date: '2026-11-21' }],
    }),
    policy: put('policy.json', {
      apiVersion: 'policies.kyverno.io/v1',
      kind: 'ImageValidatingPolicy',
      metadata: { name: `signed${hostile}` },
      spec: { matchImageReferences: [{ glob: 'docker.io/nginx*' }, { expression: hostile }] },
    }),
    kubeconfig: put('kubeconfig', server.kubeconfig()),
    named: put(`named${hostile}.yaml`, 'a: [\n'),
    out: join(directory, `out${hostile}`),
    root: join(directory, 'root'),
  }
}

interface Run {
  readonly argv: readonly string[]
  readonly input?: string
  /** Resolves when a command that does not end by itself has printed enough. */
  readonly until?: () => Promise<unknown>
  /** True if the output is a file, whose bytes are kept unless it goes to a terminal. */
  readonly isFile?: boolean
}

/** The runs of each command. `{format}` stands for each format of the command. */
function runsOf(): Readonly<Record<string, readonly Run[]>> {
  const { config, other, invalid, pod, valid, bidi, kubeconfig, lock, named, out, root } = files
  const run = (...argv: readonly string[]): Run => ({ argv })
  const cluster = ['--kubeconfig', kubeconfig]
  const ports = ['--host', '127.0.0.1', '--metrics-port', '0']
  return {
    'berth init': [
      run('--from-cluster', ...cluster, '--mirror', 'm.example', '--no-probe', '--out', '-'),
      run('-f', valid, '-f', pod, '--mirror', 'm.example', '--no-probe', '--out', out, '--yes'),
      run('--registry', hostile, '--mirror', 'm.example', '--no-probe', '--out', '-'),
      run('--registry', 'a.example', '--mirror', hostile, '--no-probe'),
      run('--registry', 'a.example', '--mirror', registry.host, '--out', named, '--yes'),
    ],
    'berth dev': [
      {
        argv: [
          '--once',
          '--config',
          config,
          '--review',
          files.review,
          '--port',
          '0',
          '--metrics-port',
          '0',
        ],
      },
    ],
    'berth explain': [
      run(`nginx${hostile}`, 'nginx:1', '--config', config, '-o', '{format}'),
      run('nginx', '--config', named),
      run('nginx', '--config', out),
    ],
    'berth check': [
      run('--tests', '--config', config, '-o', '{format}'),
      run('--config', invalid, '-o', '{format}'),
      run('--config', config, '--policies', files.policy, '-o', '{format}'),
    ],
    'berth diff': [
      run(config, other, '-o', '{format}'),
      run(config, other, '-f', valid, '-f', pod, '-o', '{format}'),
      run(config, other, '--from-cluster', '-A', ...cluster),
      run(config, named),
    ],
    'berth mirror': [
      run('-f', valid, '-f', pod, '--config', config, '-q', '-o', '{format}'),
      run(`nginx${hostile}`, '--config', config, '-q'),
      run('--from-cluster', '-A', ...cluster, '--config', config, '-q'),
    ],
    'berth drift': [
      run('-f', valid, '-f', pod, '--config', config, '-q', '-o', '{format}'),
      run('nginx:1', '--audit-log', out, '--config', config, '-q'),
    ],
    'berth rewrite': [
      run('-f', pod, '-f', valid, '--check', '--config', config),
      run('-f', pod, '-f', valid, '-o', 'json', '--config', config),
      run('-f', named, '--config', config),
      run('-f', directory, '--check', '--config', config),
      { argv: ['-f', bidi, '--no-probe', '--config', config], isFile: true },
      { argv: ['-f', bidi, '--no-probe', '--diff', '--config', config], isFile: true },
    ],
    'berth lock': [
      run('-f', pod, '-f', valid, '--config', config, '--out', out),
      run('-f', valid, '--config', config, '--out', lock, '--check'),
      run('-f', valid, '--config', config, '--out', lock),
      run('-f', valid, '--config', config, '--out', named),
    ],
    'berth policies render': [
      { argv: ['--config', config, '--policies', files.policy], isFile: true },
      run('--config', config, '--policies', named),
    ],
    'berth nodes render': [
      run('--target', 'containerd', '--allow-partial', '--config', config, '-o', '{format}'),
      run('--target', 'openshift', '--config', config),
      run('--target', 'containerd', '--allow-partial', '--config', config, '--out', out),
    ],
    'berth nodes apply': [
      run(
        '--target',
        'containerd',
        '--allow-partial',
        '--root',
        root,
        '--dry-run',
        '--config',
        config,
        '-o',
        '{format}',
      ),
      run('--rendered', named, '--root', root, '--dry-run'),
      run('--rendered', `${named}.missing`, '--root', root, '--dry-run'),
    ],
    'berth nodes check': [
      run('--target', 'containerd', '--root', root, '--config', config, '-o', '{format}'),
      run(`nginx${hostile}`, '--target', 'containerd', '--root', root, '--config', config),
    ],
    'berth nodes detect': [
      run('--root', root, '-o', '{format}'),
      run('--cluster', ...cluster, '-o', '{format}'),
    ],
    'berth report': [
      run('-A', ...cluster, '--config', config, '-o', '{format}'),
      run('--kubeconfig', named, '--config', config),
      run('--kubeconfig', `${named}.missing`, '--config', config),
    ],
    'berth diagnose': [
      run('-A', ...cluster, '--config', config, '-o', '{format}'),
      run(
        '-A',
        ...cluster,
        '--no-probe',
        '--fix',
        '--dry-run',
        '--config',
        config,
        '-o',
        '{format}',
      ),
      run(`pod/web${hostile}`, '-n', 'shop', ...cluster, '--no-probe', '--config', config),
      run(`rollouts/web${hostile}`, '-n', 'shop', ...cluster, '--config', config),
      run('--message', `manifest unknown: ${hostile}`, '-o', '{format}'),
    ],
    'berth secrets': [
      run('check', ...cluster, '--config', config, '-o', '{format}'),
      run('check', ...cluster, '--source', `infra/${hostile}`),
      run('plan', ...cluster, '--config', config, '-o', '{format}'),
      run('sync', ...cluster, '--config', config, '-o', '{format}'),
      run('rbac', '--config', config, '-n', hostile, '-o', '{format}'),
    ],
    'berth install': [
      run('--image', 'm.example/berth:1', '--config', config),
      run('--image', 'm.example/berth:1', '--config', config, '--helm-values'),
      run('--image', 'm.example/berth:1', '--config', config, '--kustomize', out),
      run(
        '--image',
        'm.example/berth:1',
        '--config',
        config,
        '--apply',
        '--yes',
        '--timeout',
        '1',
        ...cluster,
      ),
      run('--image', hostile, '--config', named),
      run('--image', 'a/b', '--config', config, '--component', hostile),
    ],
    'berth uninstall': [run('--plan', ...cluster, '-o', '{format}'), run(...cluster)],
    'berth certs': [
      run('--out', out, '--names', 'localhost'),
      run('--out', out, '--names', 'localhost'),
      run('--out', out, '--url', hostile),
    ],
    'berth serve': [
      {
        argv: [
          '--config',
          config,
          '--port',
          '0',
          ...ports,
          '--tls-cert',
          join(directory, 'certs/tls.crt'),
          '--tls-key',
          join(directory, 'certs/tls.key'),
        ],
        until: () => Promise.resolve(),
      },
      run('--config', config, '--tls-cert', named, '--tls-key', named),
    ],
    'berth console': [
      {
        argv: ['-A', '--config', config, ...cluster],
        until: () => server.waitForRequests({ path: /events/ }),
      },
      run('--kubeconfig', named, '--config', config),
    ],
    'berth controller': [
      {
        argv: ['--config', config, ...ports, ...cluster],
        until: () => server.waitForRequests({ path: /leases/ }),
      },
    ],
    'berth completion': [run('bash'), run(hostile)],
  }
}

async function formatsOf(path: string): Promise<readonly string[]> {
  const commands = await documentedCommands()
  const command = commands.find((each) => pathOf(each) === path)
  return command?.options.find(({ long }) => long === '--output')?.argChoices ?? []
}

async function outputOf(
  path: string,
  { argv, input, until }: Run,
  isTTY: boolean,
): Promise<string> {
  const stop = new AbortController()
  const ended = berth([...path.split(' ').slice(1), ...argv], input, stop.signal, isTTY)
  void until?.().then(() => stop.abort('SIGINT'))
  const { code, stdout, stderr } = await ended
  expect({ code, stderr: code === 70 ? stderr : '' }).not.toMatchObject({ code: 70 })
  return `${stdout}${stderr}`
}

describe('output with text that someone else chose', async () => {
  const paths = (await documentedCommands()).map(pathOf)

  it('covers every command', () => {
    expect(Object.keys(runsOf()).toSorted()).toEqual(paths.toSorted())
  })

  it.each(paths)('has no character in %s that a terminal interprets', async (path) => {
    const formats = await formatsOf(path)
    const runs = (runsOf()[path] ?? []).flatMap((run) =>
      run.argv.includes('{format}')
        ? formats.map((format) => ({
            ...run,
            argv: run.argv.map((word) => (word === '{format}' ? format : word)),
          }))
        : [run],
    )
    const outputs: string[] = []
    for (const run of runs) {
      const onTerminal = await outputOf(path, run, true)
      const toPipe = await outputOf(path, run, false)

      expect(unsafe.exec(onTerminal.replaceAll(colours, ''))).toBeNull()
      expect(run.isFile === true ? null : unsafe.exec(toPipe)).toBeNull()
      expect(toPipe.length).toBeLessThan(100_000)
      outputs.push(toPipe)
    }
    // The text did get there.
    expect(outputs.join('')).toMatch(/\\x1b\]0;title|\\u001b\]0;title/)
  })

  it.each([[[`no${hostile}`]], [['explain', `--no${hostile}`]], [['explain', '-o', hostile]]])(
    'has none in the message about wrong usage %#',
    async (argv) => {
      const { stdout, stderr } = await berth(argv)

      expect(unsafe.exec(`${stdout}${stderr}`)).toBeNull()
    },
  )
})
