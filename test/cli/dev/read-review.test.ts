import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readReview } from '../../../src/cli/dev/read-review.ts'

function put(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'review')
  writeFileSync(file, text)
  return file
}

describe('readReview', () => {
  it('returns the text of an AdmissionReview in JSON as it is', () => {
    const text = '{"kind": "AdmissionReview", "request": {"n": 12345678901234567890}}'

    expect(readReview(put(text))).toMatchObject({ body: text, isFromFile: true })
  })

  it('returns a review of a Pod', () => {
    const { body, isFromFile } = readReview(
      put(
        'apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: web }\nspec: { containers: [{ image: a }] }\n',
      ),
    )

    expect(isFromFile).toBe(false)
    expect(JSON.parse(body)).toMatchObject({
      kind: 'AdmissionReview',
      request: {
        namespace: 'web',
        operation: 'CREATE',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        object: { kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ image: 'a' }] } },
      },
    })
  })

  it('returns a review of the pod of the first workload', () => {
    const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec: { template: { metadata: { labels: { app: web } }, spec: { containers: [{ image: b }] } } }
`
    const { body } = readReview(put(`apiVersion: v1\nkind: ConfigMap\n---\n${deployment}`))

    expect(JSON.parse(body)).toMatchObject({
      request: {
        namespace: 'default',
        object: {
          kind: 'Pod',
          metadata: { name: 'web', labels: { app: 'web' } },
          spec: { containers: [{ image: 'b' }] },
        },
      },
    })
  })

  it.each([
    ['apiVersion: v1\nkind: ConfigMap\n', 'it has no AdmissionReview, no Pod, and no workload'],
    ['a: [', 'line 1: invalid YAML'],
    ['- a\n', 'it is not a manifest'],
  ])('rejects %j', (text, message) => {
    expect(() => readReview(put(text))).toThrow(message)
  })

  it('rejects a file that cannot be read', () => {
    expect(() => readReview('/nowhere')).toThrow(
      '/nowhere: it cannot be read: it does not exist; --review takes a file',
    )
  })
})
