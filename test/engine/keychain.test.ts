import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHelperRunner } from '../../src/engine/credential-helper.ts'
import { createKeychain } from '../../src/engine/keychain.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

const canary = 'canary-secret'

function config(auths: Record<string, string>): string {
  const entries = Object.entries(auths).map(([key, password]) => [key, { username: 'u', password }])
  return JSON.stringify({ auths: Object.fromEntries(entries) })
}

/** Writes a pull secret as Kubernetes mounts it: the file is a link through `..data`, which the kubelet replaces. */
async function mount(name: string, version: number, files: Record<string, string>): Promise<void> {
  const secret = join(directory, name)
  await mkdir(join(secret, `..${version}`), { recursive: true })
  for (const [file, text] of Object.entries(files)) {
    await writeFile(join(secret, `..${version}`, file), text)
    await symlink(`..data/${file}`, join(secret, file)).catch(() => undefined)
  }
  await symlink(`..${version}`, join(secret, '..data_tmp'))
  await rename(join(secret, '..data_tmp'), join(secret, '..data'))
}

function secretKeychain(problems: string[] = []) {
  return createKeychain(
    { kind: 'secret', name: 'creds' },
    { secretsDirectory: directory, onProblem: (message) => problems.push(message) },
  )
}

function passwords(found: readonly { password: string }[]): string[] {
  return found.map(({ password }) => password)
}

describe('createKeychain', () => {
  it('returns no credentials without settings', async () => {
    const keychain = createKeychain(null, { secretsDirectory: directory })

    expect(await keychain.lookup('a.example', 'x')).toEqual([])
  })

  it('does not wait for a docker config that is a pipe, and does not read a device without end', async () => {
    const pipe = join(directory, 'pipe')
    execFileSync('mkfifo', [pipe])

    for (const file of [pipe, '/dev/zero']) {
      const keychain = createKeychain(
        { kind: 'dockerConfig', file },
        { secretsDirectory: directory },
      )
      await expect(keychain.lookup('ghcr.io', 'x')).rejects.toThrow(
        `${file} cannot be read: it is not a regular file`,
      )
    }
  })

  it('reads a secret, and names the source of each credential', async () => {
    await mount('creds', 1, { '.dockerconfigjson': config({ 'ghcr.io': 'p' }) })

    expect(await secretKeychain().lookup('ghcr.io', 'acme/x')).toEqual([
      { username: 'u', password: 'p', source: 'secret creds, key ghcr.io' },
    ])
  })

  it('reads a secret of type kubernetes.io/dockercfg', async () => {
    await mount('creds', 1, {
      '.dockercfg': JSON.stringify({ 'ghcr.io': { username: 'u', password: 'p' } }),
    })

    expect(passwords(await secretKeychain().lookup('ghcr.io', 'x'))).toEqual(['p'])
  })

  it.each(['config.json', '.dockercfg'])('reads a file %s', async (name) => {
    const file = join(directory, name)
    const entry = { 'ghcr.io': { username: 'u', password: 'p' } }
    await writeFile(file, JSON.stringify(name === '.dockercfg' ? entry : { auths: entry }))
    const keychain = createKeychain({ kind: 'dockerConfig', file }, { secretsDirectory: '' })

    expect(await keychain.lookup('ghcr.io', 'x')).toEqual([
      { username: 'u', password: 'p', source: `${file}, key ghcr.io` },
    ])
  })

  it.each([
    ['https://index.docker.io/v1/', 'docker.io', 'acme/x', true],
    ['index.docker.io', 'docker.io', 'acme/x', true],
    ['https://index.docker.io/v1/', 'localhost', 'acme/x', false],
    ['localhost', 'localhost', 'acme/x', true],
    ['docker.io', 'docker.io', 'acme/x', true],
    ['registry-1.docker.io', 'docker.io', 'acme/x', true],
    ['docker.io/acme', 'docker.io', 'other/x', false],
    ['hub.docker.com', 'docker.io', 'acme/x', false],
    ['docker.io', 'ghcr.io', 'acme/x', false],
    ['anubis:32000', 'anubis:32000', 'x', true],
    ['anubis', 'anubis:32000', 'x', false],
  ])('matches key %s with %s/%s: %s', async (key, host, repository, found) => {
    await mount('creds', 1, { '.dockerconfigjson': config({ [key]: 'p' }) })

    expect(passwords(await secretKeychain().lookup(host, repository))).toEqual(found ? ['p'] : [])
  })

  it('returns the key with the longest path first', async () => {
    const auths = { 'ghcr.io': 'host', 'ghcr.io/acme/tools': 'deep', 'ghcr.io/acme': 'team' }
    await mount('creds', 1, { '.dockerconfigjson': config(auths) })

    const found = await secretKeychain().lookup('ghcr.io', 'acme/tools/x')

    expect(passwords(found)).toEqual(['deep', 'team', 'host'])
  })

  it('uses a rotated secret at once', async () => {
    await mount('creds', 1, { '.dockerconfigjson': config({ 'ghcr.io': 'old' }) })
    const keychain = secretKeychain()
    await keychain.lookup('ghcr.io', 'x')

    await mount('creds', 2, { '.dockerconfigjson': config({ 'ghcr.io': 'new' }) })

    expect(passwords(await keychain.lookup('ghcr.io', 'x'))).toEqual(['new'])
  })

  it.each([
    ['not JSON', { '.dockerconfigjson': `{"auths": ${canary}` }],
    ['deleted', {}],
  ])('keeps the last valid content if the file is %s, and reports that once', async (_, files) => {
    const problems: string[] = []
    await mount('creds', 1, { '.dockerconfigjson': config({ 'ghcr.io': canary }) })
    const keychain = secretKeychain(problems)
    await keychain.lookup('ghcr.io', 'x')

    await mount('creds', 2, files)
    const found = [await keychain.lookup('ghcr.io', 'x'), await keychain.lookup('ghcr.io', 'x')]

    expect(found.map(passwords)).toEqual([[canary], [canary]])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/creds.*stays in use/)
    expect(problems[0]).not.toContain(canary)
  })

  it.each([
    [
      'missing',
      {},
      /creds\/\.dockerconfigjson cannot be read: it does not exist; create the pull secret creds/,
    ],
    [
      'not JSON',
      { '.dockerconfigjson': `{"auths": ${canary}` },
      /is not JSON; create the pull secret/,
    ],
    ['not an object', { '.dockercfg': `["${canary}"]` }, /\.dockercfg is not a JSON object/],
  ])('rejects with credentials-invalid if the file is %s', async (_, files, message) => {
    await mount('creds', 1, files)

    const error: unknown = await secretKeychain()
      .lookup('ghcr.io', 'x')
      .catch((thrown: unknown) => thrown)

    expect(error).toMatchObject({
      code: 'credentials-invalid',
      message: expect.stringMatching(message) as string,
    })
    expect(String(error)).not.toContain(canary)
  })

  it('returns the identity token of an entry before its password', async () => {
    const entry = { username: 'u', password: 'p', identitytoken: 'token' }
    const auths = { 'a.example': entry, 'b.example': { ...entry, password: '' } }
    await mount('creds', 1, { '.dockerconfigjson': JSON.stringify({ auths }) })
    const keychain = secretKeychain()
    const source = 'secret creds, key a.example'

    expect(await keychain.lookup('a.example', 'x')).toEqual([
      { username: 'u', password: 'p', identityToken: 'token', source },
      { username: 'u', password: 'p', source },
    ])
    expect(await keychain.lookup('b.example', 'x')).toHaveLength(1)
  })

  it('reports each unusable entry once', async () => {
    const problems: string[] = []
    const auths = { 'ghcr.io': { email: canary } }
    await mount('creds', 1, { '.dockerconfigjson': JSON.stringify({ auths }) })
    const keychain = secretKeychain(problems)

    const found = [await keychain.lookup('ghcr.io', 'x'), await keychain.lookup('ghcr.io', 'x')]

    expect(found).toEqual([[], []])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(
      /^secret creds, key ghcr\.io is not used: it has neither username nor password/,
    )
    expect(problems[0]).not.toContain(canary)
  })
})

describe('credential helpers', () => {
  const secret = 'helper-secret'

  /** Writes `docker-credential-test`, which prints this, and a docker config that names it. */
  async function writeHelper(script: string) {
    const program = join(directory, 'docker-credential-test')
    await writeFile(program, `#!/bin/sh\nread server\n${script}\n`, { mode: 0o755 })
    const file = join(directory, 'config.json')
    const auths = { 'a.example': {}, 'b.example': { username: 'u', password: 'p' } }
    const helpers = { credsStore: 'test', credHelpers: { 'c.example': 'missing' } }
    await writeFile(file, JSON.stringify({ auths, ...helpers }))
    const problems: string[] = []
    const keychain = createKeychain(
      { kind: 'dockerConfig', file },
      {
        secretsDirectory: '',
        onProblem: (message) => problems.push(message),
        runHelper: createHelperRunner({ PATH: `.:${directory}:${process.env['PATH']}` }),
      },
    )
    return { file, keychain, problems }
  }

  const answer = (username: string) =>
    `echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"${username}\\",\\"Secret\\":\\"${secret} $server\\"}"`

  it('get the host, or for Docker Hub the name that docker uses', async () => {
    const { file, keychain, problems } = await writeHelper(answer('me'))

    expect(await keychain.lookup('a.example', 'x')).toEqual([
      {
        username: 'me',
        password: `${secret} a.example`,
        source: `docker-credential-test of ${file}`,
      },
    ])
    expect(passwords(await keychain.lookup('docker.io', 'x'))).toEqual([
      `${secret} https://index.docker.io/v1/`,
    ])
    expect(problems).toEqual([])
  })

  it('can return an identity token', async () => {
    const { keychain } = await writeHelper(answer('<token>'))

    expect(await keychain.lookup('a.example', 'x')).toMatchObject([
      { username: '', password: '', identityToken: `${secret} a.example` },
    ])
  })

  it.each([
    ['has no login', "echo 'credentials not found in native keychain'; exit 1", 0],
    ['fails', `echo ${secret} >&2; echo ${secret}; exit 1`, 1],
    ['prints something else', `echo ${secret}`, 1],
    ['prints too much', 'head -c 200000 /dev/zero', 1],
  ])('leave the entries of the file if one %s', async (_, script, count) => {
    const { keychain, problems } = await writeHelper(script)

    expect(passwords(await keychain.lookup('b.example', 'x'))).toEqual(['p'])
    expect(problems).toHaveLength(count)
    expect(problems.join()).not.toContain(secret)
  })

  it('are named in a message if they are not in PATH', async () => {
    const { keychain, problems } = await writeHelper(answer('me'))

    expect(await keychain.lookup('c.example', 'x')).toEqual([])
    expect(problems).toEqual(['the credential helper docker-credential-missing is not in PATH'])
  })

  it('are named but not run in the cluster, and ignored for a pull secret', async () => {
    const { file } = await writeHelper(answer('me'))
    const problems: string[] = []
    const onProblem = (message: string) => problems.push(message)
    const options = { secretsDirectory: directory, onProblem }
    const found = await createKeychain({ kind: 'dockerConfig', file }, options).lookup(
      'd.example',
      'x',
    )
    await mount('creds', 1, { '.dockerconfigjson': '{"auths":{},"credsStore":"test"}' })
    const runHelper = () => Promise.reject(new Error('it was run'))
    const secretChain = createKeychain({ kind: 'secret', name: 'creds' }, { ...options, runHelper })

    expect(found).toEqual([])
    expect(problems).toContain(
      `${file} names the credential helper docker-credential-test for d.example; only the command line runs credential helpers`,
    )
    expect(await secretChain.lookup('a.example', 'x')).toEqual([])
  })

  it('that are not run are named once until the file changes, and only if no entry matches', async () => {
    const { file } = await writeHelper(answer('me'))
    const problems: string[] = []
    const onProblem = (message: string) => problems.push(message)
    const keychain = createKeychain(
      { kind: 'dockerConfig', file },
      { secretsDirectory: '', onProblem },
    )
    const named = () => problems.filter((problem) => problem.includes('docker-credential-'))
    for (const host of ['b.example', 'd.example', 'd.example', 'd.example'])
      await keychain.lookup(host, 'x')

    expect(named()).toHaveLength(1)
    expect(named()[0]).toContain('for d.example;')
    await writeFile(file, JSON.stringify({ auths: {}, credsStore: 'other' }))
    await keychain.lookup('d.example', 'x')
    await keychain.lookup('d.example', 'x')
    expect(named()).toHaveLength(2)
  })

  it('are killed at their time limit, also if they ignore SIGTERM', async () => {
    await writeHelper("trap '' TERM; while :; do sleep 0.1; done")
    const run = createHelperRunner({ PATH: `${directory}:${process.env['PATH']}` }, 200)

    await expect(run('test', 'a.example')).rejects.toMatchObject({ code: 'credentials-invalid' })
  })
})
