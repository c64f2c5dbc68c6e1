import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  firstRole,
  secondRole,
  serviceAccount,
  startChain,
  type TestChain,
} from '../support/ecr.ts'
import { berth } from '../support/io.ts'
import { startStore, type Store } from '../support/store-registry.ts'

/** Tests `berth mirror` with a registry that does not create repositories on push, as Amazon ECR. */
const ecrHost = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
let source: Store
let mirror: Store
let setup: TestChain
let repositories: Set<string>

async function start(mayCreateRepositories: boolean): Promise<void> {
  repositories = new Set()
  source = await startStore()
  mirror = await startStore({ repositories })
  setup = await startChain({
    repositories,
    now: () => Date.now(),
    roles: {
      [firstRole]: { trusts: [serviceAccount], mayAssume: [secondRole] },
      [secondRole]: { trusts: [{ arn: firstRole }], mayGetToken: true, mayCreateRepositories },
    },
  })
  source.addImage('team/app', '1', { layers: [randomBytes(100)] })
}

beforeEach(() => start(true))

afterEach(() => Promise.all([source.close(), mirror.close(), setup.aws.close()]))

function run(...more: readonly string[]) {
  const file = join(mkdtempSync(join(tmpdir(), 'berth-repositories-')), 'berth.yaml')
  writeFileSync(
    file,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: upstream.example, endpoint: '${source.url}' }
  - host: ${ecrHost}
    endpoint: ${mirror.url}
    mirror: true
    allowPlainHttpAuth: true
    credentials:
      ecr:
        webIdentity: { roleArn: '${firstRole}', tokenFile: ${setup.tokenFile} }
        chain: ['${secondRole}']
        endpoints: { sts: '${setup.aws.url}', ecr: '${setup.aws.url}' }
fallback:
  - { name: all, images: ['upstream.example/**'], try: ['${ecrHost}/{path}', 'upstream.example/{path}'] }
`,
  )
  return berth(['mirror', 'upstream.example/team/app:1', '-o', 'json', '--config', file, ...more])
}

const made = () => setup.aws.calls.filter(({ action }) => action === 'CreateRepository')

describe('a missing ECR repository', () => {
  it('is created once, with the last role of the chain, if creating is allowed', async () => {
    const { code, stdout } = await run('--create-repos')

    expect(JSON.parse(stdout)).toMatchObject({ status: 'copied' })
    expect(code).toBe(0)
    expect([...repositories]).toEqual(['team/app'])
    expect(made().map(({ caller }) => caller)).toEqual([
      'arn:aws:sts::818140567777:assumed-role/ECRCrossAccountRole/berth',
    ])
    expect((await run('--create-repos')).code).toBe(0)
    expect(made()).toHaveLength(1)
  })

  it('is named in the failure if creating is not allowed', async () => {
    const { code, stdout } = await run()

    expect(code).toBe(1)
    expect(stdout).toContain('has no repository team/app')
    expect(made()).toEqual([])
  })

  it('causes a failure that names the missing right if the role may not create it', async () => {
    await Promise.all([source.close(), mirror.close(), setup.aws.close()])
    await start(false)

    const { code, stdout } = await run('--create-repos')

    expect(code).toBe(1)
    expect(stdout).toContain('allow ecr:CreateRepository to arn:aws:sts::818140567777')
    for (const secret of setup.aws.secrets) expect(stdout).not.toContain(secret)
  })
})
