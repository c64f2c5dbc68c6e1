import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { ask, follow, startTestConsole, web } from '../support/console-server.ts'
import { startFakeRegistry } from '../support/registry.ts'

it('sends no docker login to an endpoint that the config chose, also when mirrors are compared', async () => {
  const registry = await startFakeRegistry({ auth: { kind: 'basic', users: { me: 'own' } } })
  onTestFinished(() => registry.close())
  const dockerConfig = mkdtempSync(join(tmpdir(), 'berth-login-'))
  const login = { auth: Buffer.from('me:own').toString('base64') }
  const auths = { 'one.example': login, 'two.example': login }
  writeFileSync(join(dockerConfig, 'config.json'), JSON.stringify({ auths }))
  const settings = `mirror: true, endpoint: '${registry.url}', allowPlainHttpAuth: true, proxy: none`
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: one.example, ${settings}, credentials: { secret: creds } }
  - { host: two.example, ${settings} }
fallback: [{ name: a, images: ['docker.io/**'], try: ['one.example/{path}', 'two.example/{path}'] }]
`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const problems = new Set<string>()
  const console = await startTestConsole([web], {
    config: read.config,
    env: { DOCKER_CONFIG: dockerConfig },
    onProblem: (message) => problems.add(message),
  })
  const follower = follow(console)
  await follower.until(({ images }) => images.size === 1)
  await ask(console, 'mirror')

  expect(registry.requests.length).toBeGreaterThan(0)
  expect(registry.requests.flatMap(({ headers }) => headers.authorization ?? [])).toEqual([])
  const refusal =
    'and your docker login is not used, because its `endpoint` is another address; to use it, add credentials: { dockerConfig: FILE } to the registry'
  expect([...problems].toSorted()).toEqual([
    `one.example: the pull secret creds is not mounted in /nonexistent, ${refusal}`,
    `two.example: the config has no credentials, ${refusal}`,
  ])
})
