import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.ts'
import { berth } from '../../support/io.ts'
import { type ProductServer, products, startProduct } from '../../support/product-server.ts'
import { startFakeProxy } from '../../support/proxy.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let plain: ProductServer
let harbor: ProductServer
let ca: string
let out: string
let directory: string

beforeAll(async () => {
  const tls = await createTestCertificate()
  plain = await startProduct(products['docker-registry'])
  harbor = await startProduct(products.harbor, tls)
  ca = tls.cert
})

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-init-'))
  out = join(directory, 'berth.yaml')
  writeFileSync(join(directory, 'ca.crt'), ca)
  writeFileSync(
    join(directory, 'pod.yaml'),
    'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: "127.0.0.1:1/team/app:1" }, { name: d, image: "upstream.invalid/team/app:1" }] }\n',
  )
})

afterAll(() => {
  plain.close()
  harbor.close()
})

const checked = async () => berth(['check', '--tests', out])

/** Runs berth on a terminal, on which a person types these answers. */
async function atTerminal(argv: readonly string[], answers: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  Object.assign(stdin, { isTTY: true })
  const left = [...answers]
  let prompts = ''
  stderr.on('data', (data: Buffer) => {
    prompts += data.toString()
    if (/(?:: |\[y\/N\] )$/.test(data.toString())) stdin.write(`${left.shift() ?? ''}\n`)
  })
  stdout.resume()
  const signal = new AbortController().signal
  const code = await run(argv, { stdin, stdout, stderr, env: {}, signal })
  return { code, prompts, left }
}

describe('berth init', () => {
  it('writes a config that passes berth check, for a registry over plain HTTP, and prints the next steps', async () => {
    const { code, stdout, stderr } = await berth([
      'init',
      '--registry',
      'docker.io',
      '--mirror',
      plain.host,
      '--out',
      out,
      '--no-probe',
      '--endpoint',
      `http://${plain.host}`,
      '--platforms',
      'linux/amd64,linux/arm64',
    ])

    expect(code).toBe(0)
    expect(stderr).toContain(`berth: wrote ${out}\n`)
    expect(stderr).toContain(`the nodes must reach ${plain.host} too, without TLS`)
    expect(stdout.trim().split('\n')).toHaveLength(4)
    expect(stdout).toContain(`berth check --config ${out}`)
    expect(await checked()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('0 warnings, 2 of 2 tests pass'),
    })
    expect(readFileSync(out, 'utf8')).toContain('platforms: [linux/amd64, linux/arm64]')
    expect(readFileSync(out, 'utf8')).toContain('# where Berth reaches it; pods cannot reach this')
    expect(stderr).toContain(`pods of Berth cannot reach ${plain.host} at http://${plain.host}`)
  })

  it('recognizes Harbor, and requires a project, a CA and a secret for it', async () => {
    const files = ['-f', join(directory, 'pod.yaml')]
    const base = ['init', ...files, '--mirror', harbor.host, '--out', out]
    const tries = [
      [],
      ['--ca', join(directory, 'ca.crt')],
      ['--ca', join(directory, 'ca.crt'), '--path', 'mirror'],
    ]
    const messages: string[] = []
    for (const more of tries) messages.push((await berth([...base, ...more, '--yes'])).stderr)

    expect(messages.map((text) => /(--[a-z]+) is missing/.exec(text)?.[1])).toEqual([
      '--ca',
      '--path',
      '--secret',
    ])
    expect(existsSync(out)).toBe(false)

    const full = [...base, ...(tries[2] ?? []), '--secret', 'harbor-robot', '--yes']
    const { code, stdout, stderr } = await berth(full)
    const text = readFileSync(out, 'utf8')

    expect(code).toBe(0)
    expect(stderr).toContain('is Harbor; it requires a login')
    expect(stderr).toContain('create secret docker-registry harbor-robot')
    expect(stderr).toContain(`docker login ${harbor.host}`)
    expect(stdout).toContain('--image-pull-secret harbor-robot --apply')
    expect(text).toContain('ca: ca.crt # relative')
    expect(text).toContain(
      `try: ['${harbor.host}/mirror/{host}/{path}', 'upstream.invalid/{path}']`,
    )
    expect(text).toContain('# not reached from here: its name has no address')
    expect(text).toContain('127.0.0.1:1: for pods and nodes, this name is another machine')
    expect((await checked()).stdout).toContain('0 warnings')
    expect(harbor.requests).not.toContain('with credentials')
  })

  it('writes rows for images in Helm values and custom resources, but not for similar words in arguments', async () => {
    writeFileSync(
      join(directory, 'more.yaml'),
      `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: { name: web }
spec: { values: { image: { registry: values.invalid, repository: acme/web, tag: v1 } } }
---
apiVersion: example.com/v1
kind: Site
metadata: { name: web }
spec: { image: 'site.invalid/acme/web:1' }
---
apiVersion: v1
kind: Pod
metadata: { name: p }
spec: { containers: [{ name: c, image: 'pod.invalid/a:1', args: ['node.example.io/master:NoSchedule'] }] }
`,
    )
    const files = ['-f', join(directory, 'more.yaml')]
    const { code } = await berth(['init', ...files, '--mirror', 'a:1', '--out', out, '--no-probe'])
    const hosts = [...readFileSync(out, 'utf8').matchAll(/images: \['(.*)\/\*\*'\]/g)]

    expect(code).toBe(0)
    expect(new Set(hosts.map(([, host]) => host))).toEqual(
      new Set(['pod.invalid', 'site.invalid', 'values.invalid']),
    )
  })

  it('probes upstream registries through --proxy, and the mirror without it', async () => {
    const proxy = await startFakeProxy()
    const argv = ['init', '-f', join(directory, 'pod.yaml'), '--mirror', plain.host, '--out', out]
    const { code, stderr } = await berth([...argv, '--proxy', proxy.url])
    await proxy.close()

    expect(code).toBe(0)
    expect(new Set(proxy.requests)).toContain('CONNECT upstream.invalid:443')
    expect(proxy.requests.filter((line) => line.includes(plain.host))).toEqual([])
    expect(stderr).not.toContain('this machine uses the proxy')
  })

  it('asks on a terminal for what is missing', async () => {
    const { code, prompts, left } = await atTerminal(
      ['init', '--registry', 'quay.io', '--out', out, '--no-probe'],
      ['ghcr.io', 'acme'],
    )

    expect([code, left]).toEqual([0, []])
    expect(prompts).toContain('Your registry, under the name that nodes use: ')
    expect(prompts).toContain('begin with OWNER')
    expect(readFileSync(out, 'utf8')).toContain(
      `try: ['ghcr.io/acme/{host}/{path}', 'quay.io/{path}']`,
    )
  })

  it('shows a diff, and replaces the file only with a confirmation or --yes', async () => {
    const base = ['init', '--mirror', 'anubis:32000', '--out', out, '--no-probe']
    await berth([...base, '--registry', 'docker.io'])
    const first = readFileSync(out, 'utf8')
    const same = await berth([...base, '--registry', 'docker.io'])
    const refused = await berth([...base, '--registry', 'docker.io', '--registry', 'quay.io'])
    const declined = await atTerminal([...base, '--registry', 'ghcr.io'], ['n'])

    expect(same.stderr).toContain('is up to date')
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('use --yes') })
    expect(refused.stdout).toContain("+    images: ['quay.io/**']")
    expect(declined.code).toBe(1)
    expect(readFileSync(out, 'utf8')).toBe(first)

    const replaced = await berth([...base, '--registry', 'quay.io', '--yes'])

    expect(replaced.code).toBe(0)
    expect(readFileSync(out, 'utf8')).toContain('quay.io/**')
  })

  it.each([
    [['--mirror', 'docker.io'], 'Docker Hub cannot be the mirror'],
    [['--mirror', 'anubis'], 'anubis is not a registry host'],
    [['--mirror', 'a.b', '--endpoint', 'ftp://x'], '--endpoint: not the URL'],
    [['--mirror', 'a.b', '--cache', 'docker.io'], 'write HOST=PREFIX'],
    [['--mirror', 'a.b', '--cache', 'docker.io=x', '--cache', 'quay.io=x'], 'have the same path'],
    [['--mirror', 'a.b', '--path', 'Caps'], 'the answers give a config that is not valid'],
    [['--mirror', 'a.b', '--secret', 'No Name'], 'the answers give a config that is not valid'],
    [['--mirror', 'a.b', '--ca', '/nowhere'], '/nowhere cannot be read: it does not exist'],
    [['--mirror', 'a.b', '--proxy', 'http://u:hidden@p:1'], 'a password would be in the config'],
  ])('rejects %j', async (options, message) => {
    const { code, stderr } = await berth([
      'init',
      '--registry',
      'quay.io',
      '--no-probe',
      '--out',
      out,
      ...options,
    ])

    expect(code).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('hidden')
    expect(existsSync(out)).toBe(false)
  })

  it('exits with 3, and writes nothing, if the mirror does not answer', async () => {
    const { code, stderr } = await berth([
      'init',
      '--registry',
      'quay.io',
      '--mirror',
      '127.0.0.1:1',
      '--out',
      out,
    ])

    expect(code).toBe(3)
    expect(stderr).toContain('it refuses the connection')
    expect(existsSync(out)).toBe(false)
  })
})

describe('berth init --from-cluster', () => {
  let server: ScriptedApiServer

  beforeAll(async () => {
    server = await startScriptedApiServer({ isHttps: true })
  })
  afterAll(() => server.close())

  it('reads the pods of all namespaces and the nodes, and prints the config for --out -', async () => {
    const kubeconfig = join(directory, 'kubeconfig')
    writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 })
    for (const [namespace, image] of [
      ['shop', 'quay.io/acme/web:1'],
      ['bank', 'nginx:1.29'],
    ] as const)
      server.kube.put('pods', {
        metadata: { name: 'p', namespace },
        ...({ spec: { containers: [{ name: 'c', image }] } } as object),
      })
    server.kube.put('nodes', {
      metadata: { name: 'n' },
      ...({ status: { nodeInfo: { operatingSystem: 'linux', architecture: 'arm64' } } } as object),
    })

    const { code, stdout } = await berth([
      'init',
      '--from-cluster',
      '--mirror',
      'anubis:32000',
      '--no-probe',
      '--out',
      '-',
      '--kubeconfig',
      kubeconfig,
    ])

    expect(code).toBe(0)
    expect(stdout).toContain('quay.io/**')
    expect(stdout).toContain(`{ image: 'docker.io/library/nginx:1.29'`)
    expect(stdout).toContain('platforms: [linux/arm64]')
    expect(server.kube.writes).toEqual([])
  })
})
