import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { chartReadme } from '../../deploy/chart-readme.ts'
import { command, entrypoint } from '../../deploy/image/entrypoint.ts'
import { readConfig } from '../../src/config/load.ts'
import { berth } from '../support/io.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

interface Workload {
  readonly kind: string
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly image: string; readonly args: string[] }[]
      }
    }
  }
}

const workloads = globSync('deploy/base/*.yaml', { cwd: root })
  .flatMap((file) => parseAllDocuments(read(file)).map((each) => each.toJS() as Workload))
  .filter(({ kind }) => kind === 'Deployment')
const containers = workloads.flatMap(({ spec }) => spec.template.spec.containers)
const { version } = JSON.parse(read('package.json')) as { version: string }

describe('deploy/base', () => {
  it('uses the image of this version, on a host that cannot exist', () => {
    expect(containers.map(({ image }) => image)).toEqual([
      `berth.invalid/berth:${version}`,
      `berth.invalid/berth:${version}`,
    ])
  })

  it.each(containers.map(({ args }) => [args[0] ?? '', args.slice(1)] as const))(
    'starts berth %s with options that exist',
    async (verb, options) => {
      const { stdout } = await berth([verb, '--help'])

      for (const option of options) expect(stdout).toContain(`${option.split('=')[0]} `)
    },
  )
})

describe('the ValidatingAdmissionPolicy', () => {
  interface Selectors {
    readonly namespaceSelector: { readonly matchExpressions: readonly { readonly key: string }[] }
    readonly matchConditions: unknown
  }

  it('selects the pods of the webhook, and those of namespaces in observe mode', () => {
    const [policy] = parseAllDocuments(read('webhook-config/validating-policy.yaml')).map(
      (each) => each.toJS() as { spec: Selectors & { matchConstraints: Selectors } },
    )
    const { webhooks } = parse(read('webhook-config/mutating-webhook.yaml')) as {
      webhooks: readonly Selectors[]
    }
    const { matchExpressions = [] } = webhooks[0]?.namespaceSelector ?? {}

    expect(policy?.spec.matchConstraints.namespaceSelector.matchExpressions).toEqual(
      matchExpressions.filter(({ key }) => key !== 'berth.dev/mode'),
    )
    expect(policy?.spec.matchConditions).toEqual(webhooks[0]?.matchConditions)
  })
})

describe('the berth.yaml files', () => {
  const files = globSync('deploy/**/berth.yaml', { cwd: root })
  const examples = globSync('webhook-config/examples/*.yaml', { cwd: root })

  it.each([...files, ...examples])('%s is valid, without a warning', (file) => {
    const result = readConfig(read(file), root)

    expect(result.ok ? result.config.warnings : result.problems).toEqual([])
  })

  it('exist in the base and in the component microk8s', () => {
    expect(files).toHaveLength(2)
  })
})

describe('the chart', () => {
  it.each(['alerts.yaml', 'berth.json'])('has the same %s as the component', (file) => {
    expect(read(`deploy/chart/files/${file}`)).toBe(read(`deploy/components/monitoring/${file}`))
  })

  it('has the version of package.json', () => {
    expect(parse(read('deploy/chart/Chart.yaml'))).toMatchObject({ version, appVersion: version })
  })

  it('describes every value in a comment', () => {
    const lines = read('deploy/chart/values.yaml').split('\n')
    const undescribed = lines.filter((line, index) => {
      const [, indent] = /^( {0,2})\w+:/.exec(line) ?? []
      if (indent === undefined || /^ {2}(?:apiVersion|kind):/.test(line)) return false
      return !lines[index - 1]?.startsWith(`${indent}#`)
    })

    expect(undescribed).toEqual([])
  })

  it('has a README with every value and its comment; npm run docs:chart updates it', () => {
    const readme = read('deploy/chart/README.md')

    expect(readme).toBe(chartReadme(read('deploy/chart/values.yaml')))
    expect(readme.match(/^\| `[a-zA-Z.]+` \| `.+` \| .{10,} \|$/gm)?.length).toBeGreaterThan(50)
  })

  it('has a default for every key of its schema', () => {
    const schema = JSON.parse(read('deploy/chart/values.schema.json')) as Schema
    const values = parse(read('deploy/chart/values.yaml')) as Record<string, unknown>
    const keys = Object.entries(schema.properties ?? {}).flatMap(([name, { properties = {} }]) =>
      name === 'config' || name === 'global'
        ? []
        : [[name], ...Object.keys(properties).map((inner) => [name, inner])],
    )

    expect(keys.length).toBeGreaterThan(30)
    expect(keys.filter(([name = '', inner]) => !has(values, name, inner))).toEqual([])
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
}

function has(values: Record<string, unknown>, name: string, inner: string | undefined): boolean {
  const value = values[name]
  if (inner === undefined) return value !== undefined
  return typeof value === 'object' && value !== null && inner in value
}

describe('deploy/Dockerfile', () => {
  const text = read('deploy/Dockerfile')

  it('starts the same command as the image of npm run image', () => {
    const line = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? ''

    expect(JSON.parse(line('ENTRYPOINT'))).toEqual(entrypoint)
    expect(JSON.parse(line('CMD'))).toEqual(command)
  })

  it('copies only files that .dockerignore allows', () => {
    const allowed = read('.dockerignore').match(/(?<=^!).*$/gm) ?? []
    const copied = [...text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' ').map((name) => name.split('/')[0] ?? ''),
    )

    expect(copied.length).toBeGreaterThan(5)
    expect(
      copied.filter((name) => !allowed.some((glob) => matches(glob.split('/')[0] ?? '', name))),
    ).toEqual([])
  })
})

function matches(glob: string, name: string): boolean {
  return new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(name)
}
