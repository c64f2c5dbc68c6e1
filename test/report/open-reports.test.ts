import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildOpenReports, type ImageFinding } from '../../src/report/open-reports.ts'

const failure: ImageFinding = {
  kind: 'pull-failure',
  rule: 'D37',
  namespace: 'shop',
  pod: 'web-0',
  image: 'm.example/web:1',
  message: 'cannot pull m.example/web:1: the repository exists, but the tag does not',
}

interface Results {
  readonly summary: Record<string, number>
  readonly results: readonly {
    readonly policy: string
    readonly resources?: readonly { readonly name: string }[]
    readonly properties?: Record<string, string>
  }[]
}

const reportOf = (findings: readonly ImageFinding[], namespace = 'shop') =>
  buildOpenReports(findings).get(namespace)?.object as unknown as Results

describe('buildOpenReports', () => {
  it('returns one report for each namespace that has findings', () => {
    const reports = buildOpenReports([failure, { ...failure, namespace: 'blog' }])

    expect([...reports.keys()]).toEqual(['shop', 'blog'])
    expect(reports.get('shop')?.object).toEqual({
      apiVersion: 'openreports.io/v1alpha1',
      kind: 'Report',
      metadata: {
        name: 'berth-images',
        namespace: 'shop',
        labels: { 'app.kubernetes.io/name': 'berth' },
        annotations: { 'berth.dev/content-hash': reports.get('shop')?.content },
      },
      source: 'berth',
      scope: { apiVersion: 'v1', kind: 'Namespace', name: 'shop' },
      summary: { pass: 0, fail: 1, warn: 0, error: 0, skip: 0 },
      results: [
        {
          policy: 'pull-failure',
          rule: 'D37',
          category: 'Container images',
          result: 'fail',
          severity: 'high',
          scored: true,
          source: 'berth',
          message: failure.message,
          resources: [{ apiVersion: 'v1', kind: 'Pod', name: 'web-0', namespace: 'shop' }],
          properties: { image: 'm.example/web:1', pods: '1' },
        },
      ],
    })
  })

  it('counts all pods of a finding, and names five', () => {
    const pods = Array.from({ length: 7 }, (_, index) => ({ ...failure, pod: `web-${6 - index}` }))
    const [result] = reportOf([...pods, ...pods]).results

    expect(result?.properties).toMatchObject({ pods: '7' })
    expect(result?.resources?.map(({ name }) => name)).toEqual(['web-0', 'web-1', 'web-2', 'web-3', 'web-4']) // prettier-ignore
  })

  it('keeps the most severe findings of a namespace with too many', () => {
    const many = Array.from({ length: 120 }, (_, index): ImageFinding => {
      const image = `m.example/${index}:latest`
      return { ...failure, kind: 'unpinned-image', rule: 'unpinned-image', image, message: image }
    })
    const { summary, results } = reportOf([...many, failure])

    expect(results).toHaveLength(51)
    expect(results[0]?.policy).toBe('pull-failure')
    expect(results.at(-1)).toMatchObject({
      policy: 'more-findings',
      result: 'skip',
      message: '71 more findings; berth report and berth diagnose show all of them',
    })
    expect(summary).toMatchObject({ fail: 1, warn: 120 })
  })

  it('has at most 200 kB, whatever the findings contain', () => {
    const text = 'ü"\\'.repeat(10_000)
    const many = Array.from({ length: 1_000 }, (_, index) => ({
      ...failure,
      image: `${index}${text}`,
      message: `${index}${text}`,
    }))

    expect(Buffer.byteLength(JSON.stringify(reportOf(many)))).toBeLessThan(200_000)
  })

  it('does not depend on the order of findings', () => {
    const finding = fc.record({
      kind: fc.constantFrom('pull-failure', 'unprocessed-pod', 'unpinned-image' as const),
      rule: fc.constantFrom('D37', 'D05'),
      namespace: fc.constantFrom('a', 'b'),
      pod: fc.constantFrom('x', 'y', 'z'),
      image: fc.constantFrom('i', 'j'),
      message: fc.constantFrom('m', 'n'),
    })
    fc.assert(
      fc.property(fc.array(finding, { maxLength: 40 }), (found) => {
        const findings = found as readonly ImageFinding[]
        const contents = (of: readonly ImageFinding[]) =>
          [...buildOpenReports(of).values()].map(({ content }) => content).sort()
        expect(contents(findings.toReversed())).toEqual(contents(findings))
      }),
    )
  })
})
