import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { berth } from '../../support/io.ts'

const root = new URL('../../../', import.meta.url)
const page = readFileSync(new URL('docs/pull-secrets.md', root), 'utf8')
const configs = [...page.matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, body = '']) => body)
const directory = mkdtempSync(join(tmpdir(), 'berth-secrets-'))

function configFile(text: string): string {
  const file = join(directory, 'berth.yaml')
  writeFileSync(file, text)
  return file
}

const documents = (text: string): unknown[] =>
  parseAllDocuments(text).map((document) => document.toJSON() as unknown)

describe('berth secrets rbac', () => {
  it.each([
    ['secrets-cluster.yaml', 0],
    ['secrets-namespaced.yaml', 2],
    ['secrets-ensure.yaml', 1],
  ])('prints the manifests in deploy/rbac/%s', async (file, index) => {
    const config = configFile(configs[index] ?? '')
    const args = ['secrets', 'rbac', '--config', config, '-n', 'berth-system']
    const { code, stdout } = await berth(args)

    expect(code).toBe(0)
    expect(documents(stdout)).toEqual(
      documents(readFileSync(new URL(`deploy/rbac/${file}`, root), 'utf8')),
    )
  })

  it('grants no wildcards, no tokens, no Roles, and Secrets by name except for create', async () => {
    const config = configFile(configs[0] ?? '')
    const { stdout } = await berth(['secrets', 'rbac', '--config', config, '-o', 'json'])
    const manifests = JSON.parse(stdout) as {
      rules?: { resources: string[]; resourceNames?: string[]; verbs: string[] }[]
    }[]
    const rules = manifests.flatMap((manifest) => manifest.rules ?? [])

    expect(JSON.stringify(rules)).not.toMatch(/\*|token|roles/)
    expect(
      rules
        .filter(({ resources }) => resources.includes('secrets'))
        .filter(({ resourceNames }) => resourceNames === undefined)
        .flatMap(({ verbs }) => verbs),
    ).toEqual(['create'])
  })
})

describe('berth secrets', () => {
  it.each([
    [['secrets'], "missing required argument 'action'"],
    [['secrets', 'copy'], 'Allowed choices are check, plan, sync, rbac.'],
    [['secrets', 'check', '--source', 'x'], "argument 'x' is invalid. Write NAMESPACE/NAME."],
  ])('rejects %j', async (args, words) => {
    const { code, stderr } = await berth(args)

    expect(code).toBe(2)
    expect(stderr).toContain(words)
  })

  it('rejects a config that copies no pull secrets', async () => {
    const config = configFile('apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
    const { code, stderr } = await berth(['secrets', 'plan', '--config', config])

    expect(code).toBe(2)
    expect(stderr).toContain('the config copies no pull secrets')
  })
})
