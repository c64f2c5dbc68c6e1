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

interface MetricShape {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
}

/** A metric of prom-client with its private label names. */
interface MetricInternals {
  readonly name: string
  readonly type?: string
  readonly labelNames?: readonly string[]
}

async function shapesOf(registry: {
  getMetricsAsJSON(): Promise<readonly { name: string; type: unknown }[]>
  getSingleMetric(name: string): unknown
}): Promise<MetricShape[]> {
  const all = await registry.getMetricsAsJSON()
  return all.map(({ name, type }) => {
    const { labelNames = [] } = registry.getSingleMetric(name) as MetricInternals
    return { name, type: String(type), labels: labelNames }
  })
}

const webhook = createWebhookMetrics({
  isListed: () => true,
  circuits: () => new Map(),
  droppedLogLines: () => 0,
}).registry
const controller = createControllerMetrics({ droppedLogLines: () => 0 }).registry
createEcrMetrics(controller)
createPullSecretMetrics(controller)

/** The metrics in the table of a section. */
function documentedMetrics(heading: string): MetricShape[] {
  const section = page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([a-z_]+)` \| ([a-z]+) \| (.*?) \|/gm)].map(
    ([, name = '', type = '', labels = '']) => ({
      name,
      type,
      labels: [...labels.matchAll(/`([a-z]+)`/g)].map(([, label = '']) => label),
    }),
  )
}

const byName = (a: MetricShape, b: MetricShape) => (a.name < b.name ? -1 : 1)

describe('docs/metrics.md', () => {
  it.each([
    ['Webhook', webhook],
    ['Controller', controller],
  ])('describes every metric of the %s, with its kind and labels', async (heading, registry) => {
    expect(documentedMetrics(heading).sort(byName)).toEqual((await shapesOf(registry)).sort(byName))
  })

  it('describes every field of the admission log line', () => {
    const lines: string[] = []
    const { admissions } = createLogs('info', { write: (line: string) => lines.push(line) })
    createAdmissionLog(admissions)({
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

  it('lists every reason', () => {
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

  it('use only existing metrics and labels', async () => {
    const all = [...(await shapesOf(webhook)), ...(await shapesOf(controller))]
    // A metric of the API server; an end-to-end test reads it there.
    all.push({
      name: 'apiserver_admission_webhook_fail_open_count',
      type: 'counter',
      labels: ['name'],
    })
    const problems = expressions.flatMap((expr) => problemsOf(expr, all))

    expect(expressions.length).toBeGreaterThan(30)
    expect(problems).toEqual([])
  })

  it('have a row in docs/operations.md for each alert', () => {
    const operations = read('docs/operations.md')

    expect(rules.filter(({ alert }) => !operations.includes(`| ${alert} |`))).toEqual([])
    expect(rules.filter(({ annotations }) => annotations.summary.length < 10)).toEqual([])
  })

  it('have a different id for each panel', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  })
})

/** Labels that Prometheus and its operator add to every metric. */
const targetLabels = ['namespace', 'job', 'pod', 'instance', 'le']

function problemsOf(expr: string, known: readonly MetricShape[]): string[] {
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
