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
  type ChainWorld,
} from '../support/ecr.ts'
import { berth } from '../support/io.ts'
import { startStore, type Store } from '../support/store-registry.ts'

/** `berth mirror` to a registry that has no repository until one is made, as Amazon ECR. */
const ecrHost = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
let source: Store
let mirror: Store
let world: ChainWorld
let repositories: Set<string>

async function start(mayCreateRepositories: boolean): Promise<void> {
  repositories = new Set()
  source = await startStore()
  mirror = await startStore({ repositories })
  world = await startChain({
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

afterEach(() => Promise.all([source.close(), mirror.close(), world.aws.close()]))

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
        webIdentity: { roleArn: '${firstRole}', tokenFile: ${world.tokenFile} }
        chain: ['${secondRole}']
        endpoints: { sts: '${world.aws.url}', ecr: '${world.aws.url}' }
fallback:
  - { name: all, images: ['upstream.example/**'], try: ['${ecrHost}/{path}', 'upstream.example/{path}'] }
`,
  )
  return berth(['mirror', 'upstream.example/team/app:1', '-o', 'json', '--config', file, ...more])
}

const made = () => world.aws.calls.filter(({ action }) => action === 'CreateRepository')

describe('a repository that ECR lacks', () => {
  it('is made once, by the last role of the chain, where that is allowed', async () => {
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

  it('is named where it is not', async () => {
    const { code, stdout } = await run()

    expect(code).toBe(1)
    expect(stdout).toContain('has no repository team/app')
    expect(made()).toEqual([])
  })

  it('and may not be made by this role is told with the right that is missing', async () => {
    await Promise.all([source.close(), mirror.close(), world.aws.close()])
    await start(false)

    const { code, stdout } = await run('--create-repos')

    expect(code).toBe(1)
    expect(stdout).toContain('allow ecr:CreateRepository to arn:aws:sts::818140567777')
    for (const secret of world.aws.secrets) expect(stdout).not.toContain(secret)
  })
})
