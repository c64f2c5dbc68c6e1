import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { currentCluster } from '../harness/cluster.ts'
import { repository } from '../harness/paths.ts'
import { runPromtool } from '../harness/prometheus.ts'

/** Every alert of deploy/ fires when it should and only then, as promtool evaluates it. */
type Rule = { alert: string; expr: string; for?: string }

const file = join(repository, 'deploy/components/monitoring/alerts.yaml')
const { spec } = parse(readFileSync(file, 'utf8')) as { spec: { groups: { rules: Rule[] }[] } }
const rules = spec.groups.flatMap((group) => group.rules)
const directory = join(currentCluster().runDir, 'alerts')

/**
 * For each alert a series with one sample per minute, in promtool's notation: `values` makes the alert fire, `quiet` does
 * not.
 */
const cases: Record<string, { series: string; values: string; quiet: string }> = {
  BerthDown: { series: 'berth_config_generation', values: '_x60', quiet: '1x60' },
  BerthBypassed: {
    series: 'apiserver_admission_webhook_fail_open_count{name="mutate.berth.dev"}',
    values: '0+1x60',
    quiet: '5x60',
  },
  BerthConfigNotInForce: {
    series: 'berth_config_last_reload_successful',
    values: '0x60',
    quiet: '1x60',
  },
  BerthCertificateEnds: {
    series: 'berth_certificate_expiry_timestamp_seconds',
    values: '500000x60',
    quiet: '5000000x60',
  },
  BerthCertificateUnusable: {
    series: 'berth_certificate_reload_failures_total',
    values: '0+1x60',
    quiet: '3x60',
  },
  BerthError: {
    series: 'berth_admissions_total{outcome="error"}',
    values: '0x55 1x5',
    quiet: '1x60',
  },
  BerthSlow: {
    series: 'berth_admission_duration_seconds_bucket',
    values: '0x60',
    quiet: '0x60',
  },
  BerthShedding: {
    series: 'berth_requests_refused_total{status="503"}',
    values: '0+9x60',
    quiet: '9x60',
  },
  BerthRegistryAway: {
    series: 'berth_registry_circuit_open{registry="anubis:32000"}',
    values: '1x60',
    quiet: '0x60',
  },
  BerthRegistryRefusesCredentials: {
    series: 'berth_candidates_total{registry="ghcr.io",outcome="denied"}',
    values: '0+1x60',
    quiet: '4x60',
  },
  BerthRegistryLimits: {
    series: 'berth_candidates_total{registry="docker.io",outcome="limited"}',
    values: '0+1x60',
    quiet: '4x60',
  },
  BerthImagesNotFound: {
    series: 'berth_images_total{reason="none-found"}',
    values: '0+1x60',
    quiet: '4x60',
  },
  BerthPullFailures: {
    series: 'berth_pull_failures{cause="tag-missing",registry="docker.io"}',
    values: '2x60',
    quiet: '0x60',
  },
  BerthImageConflicts: { series: 'berth_image_conflicts', values: '1x60', quiet: '0x60' },
  BerthStuckPods: {
    series: 'berth_stuck_pods{action="report"}',
    values: '2x60',
    quiet: '0x60',
  },
  BerthImagesGone: {
    series: 'berth_running_images{source="registry",state="gone"}',
    values: '2x60',
    quiet: '0x60',
  },
  BerthMirrorImages: {
    series: 'berth_mirror_images{state="absent"}',
    values: '1x60',
    quiet: '0x60',
  },
  BerthUnprocessedPods: {
    series: 'berth_unprocessed_pods{namespace="shop"}',
    values: '2x60',
    quiet: '0x60',
  },
}

/** Returns the series of a case. A histogram has one per bucket: every request takes between 1 and 5 s, or less than 1 s. */
function seriesOf(alert: string, isQuiet: boolean): { series: string; values: string }[] {
  const { series, values, quiet } = cases[alert] ?? { series: '', values: '', quiet: '' }
  if (alert !== 'BerthSlow') return [{ series, values: isQuiet ? quiet : values }]
  const slow = isQuiet ? '0+10x60' : '0x60'
  return [
    { series: `${series}{le="1"}`, values: slow },
    { series: `${series}{le="5"}`, values: '0+10x60' },
    { series: `${series}{le="+Inf"}`, values: '0+10x60' },
  ]
}

beforeAll(() => {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'rules.json'), JSON.stringify(spec))
})

test('promtool accepts the rules', async () => {
  expect(await runPromtool(['check', 'rules', 'rules.json'], directory)).toContain(
    `SUCCESS: ${rules.length} rules found`,
  )
})

test('every alert has a case here', () => {
  expect(rules.map(({ alert }) => alert)).toEqual(Object.keys(cases))
})

test.each(rules.map(({ alert }) => alert))(
  '%s fires for its cause and only then',
  async (alert) => {
    const unitTest = (isQuiet: boolean) => ({
      interval: '1m',
      input_series: seriesOf(alert, isQuiet),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`,
          eval_time: '1h',
          exp_samples: [{ labels: '{}', value: isQuiet ? 0 : 1 }],
        },
      ],
    })
    const name = `${alert}.json`
    const tests = {
      rule_files: ['rules.json'],
      evaluation_interval: '1m',
      tests: [unitTest(false), unitTest(true)],
    }
    writeFileSync(join(directory, name), JSON.stringify(tests))

    expect(await runPromtool(['test', 'rules', name], directory)).toContain('SUCCESS')
  },
)
