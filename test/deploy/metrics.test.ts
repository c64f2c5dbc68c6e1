import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createAdmissionLog } from '../../src/webhook/admission/admission-log.ts'
import { createControllerMetrics } from '../../src/telemetry/controller-metrics.ts'
import { createEcrMetrics } from '../../src/telemetry/ecr-metrics.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { createWebhookMetrics } from '../../src/telemetry/webhook-metrics.ts'
import { createPullSecretMetrics } from '../../src/telemetry/pull-secret-metrics.ts'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const page = read('docs/metrics.md')

interface Described {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
}

/** prom-client keeps a metric's label names to itself. */
interface WithLabels {
  readonly name: string
  readonly type?: string
  readonly labelNames?: readonly string[]
}

async function described(registry: {
  getMetricsAsJSON(): Promise<readonly { name: string; type: unknown }[]>
  getSingleMetric(name: string): unknown
}): Promise<Described[]> {
  const all = await registry.getMetricsAsJSON()
  return all.map(({ name, type }) => {
    const { labelNames = [] } = registry.getSingleMetric(name) as WithLabels
    return { name, type: String(type), labels: labelNames }
  })
}

const webhook = createWebhookMetrics({ isListed: () => true, circuits: () => new Map() }).registry
const controller = createControllerMetrics().registry
createEcrMetrics(controller)
createPullSecretMetrics(controller)

/** The rows of one section's table. */
function rows(heading: string): Described[] {
  const section = page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([a-z_]+)` \| ([a-z]+) \| (.*?) \|/gm)].map(
    ([, name = '', type = '', labels = '']) => ({
      name,
      type,
      labels: [...labels.matchAll(/`([a-z]+)`/g)].map(([, label = '']) => label),
    }),
  )
}

const byName = (a: Described, b: Described) => (a.name < b.name ? -1 : 1)

describe('docs/metrics.md', () => {
  it.each([
    ['Webhook', webhook],
    ['Controller', controller],
  ])('describes every metric of the %s, with its kind and labels', async (heading, registry) => {
    expect(rows(heading).sort(byName)).toEqual((await described(registry)).sort(byName))
  })

  it('describes every field of the line of an admission', () => {
    const lines: string[] = []
    const { log } = createLogs('info', { write: (line: string) => lines.push(line) })
    createAdmissionLog(log)({
      request: {
        uid: 'u',
        namespace: 'n',
        object: {},
        operation: 'CREATE',
        dryRun: false,
      } as never,
      admission: {
        mode: 'enforce',
        failed: false,
        decisions: [],
        verdict: { denied: null, patch: [] },
      } as never,
      milliseconds: 1,
    })
    const fields = Object.keys(JSON.parse(lines[0] ?? '{}') as object)
    const section = page.slice(page.indexOf('## Log'))

    expect(fields).toContain('images')
    expect(fields.filter((field) => !section.includes(`\`${field}\``))).toEqual([])
  })

  it('says what every reason is called', () => {
    const source = read('src/decision/resolve/resolution.ts')
    const union = /type ResolutionReason =([^]*?)\n\n/.exec(source)?.[1] ?? ''
    const reasons = [...union.matchAll(/\| '([a-z-]+)'/g)].map(([, reason]) => reason)

    expect(reasons.length).toBeGreaterThan(8)
    expect(reasons.filter((reason) => !page.includes(`\`${reason}\``))).toEqual([])
  })
})

describe('alerts and dashboard', () => {
  const component = 'deploy/components/monitoring'
  const { spec } = parse(read(`${component}/alerts.yaml`)) as {
    spec: {
      groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[]
    }
  }
  const rules = spec.groups.flatMap((group) => group.rules)
  const { panels } = JSON.parse(read(`${component}/berth.json`)) as {
    panels: { id: number; targets: { expr: string }[] }[]
  }
  const expressions = [
    ...rules.map(({ expr }) => expr),
    ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...[...page.matchAll(/^\| [^|]+ \| `([^`]+\([^`]+)`/gm)].map(([, expr = '']) => expr),
  ]

  it('use only metrics that exist, with labels that they have', async () => {
    const all = [...(await described(webhook)), ...(await described(controller))]
    // Of the API server; the end-to-end test sees it there.
    all.push({
      name: 'apiserver_admission_webhook_fail_open_count',
      type: 'counter',
      labels: ['name'],
    })
    const problems = expressions.flatMap((expr) => problemsOf(expr, all))

    expect(expressions.length).toBeGreaterThan(30)
    expect(problems).toEqual([])
  })

  it('have what to do written down for each alert', () => {
    const operations = read('docs/operations.md')

    expect(rules.filter(({ alert }) => !operations.includes(`| ${alert} |`))).toEqual([])
    expect(rules.filter(({ annotations }) => annotations.summary.length < 10)).toEqual([])
  })

  it('have panels with numbers of their own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  })
})

/** Labels that Prometheus and the operator put on whatever they scrape. */
const targetLabels = ['namespace', 'job', 'pod', 'instance', 'le']

function problemsOf(expr: string, known: readonly Described[]): string[] {
  const names = [...expr.matchAll(/\b(?:berth|process|apiserver)_[a-z_]+/g)].map(([name]) => name)
  const metrics = names.map((name) =>
    known.find(
      (each) => each.name === name || each.name === name.replace(/_(bucket|sum|count)$/, ''),
    ),
  )
  const labels = metrics.flatMap((metric) => metric?.labels ?? []).concat(targetLabels)
  const used = [
    ...[...expr.matchAll(/([a-z]+)(?:=~|!=|!~|=)"/g)].map(([, label = '']) => label),
    ...[...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/, */)),
  ]
  return [
    ...(names.length === 0 ? [`${expr}: no metric`] : []),
    ...names.filter((_, index) => metrics[index] === undefined),
    ...used.filter((label) => !labels.includes(label)).map((label) => `${expr}: ${label}`),
  ]
}
