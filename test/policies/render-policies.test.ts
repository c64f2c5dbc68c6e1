import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/config.ts'
import { unknownPod } from '../../src/decision/fallback/pod-context.ts'
import { readManifests } from '../../src/manifests/manifests.ts'
import { findPolicyChanges } from '../../src/policies/policy-changes.ts'
import { readPolicies } from '../../src/policies/read-policies.ts'
import { renderPolicies } from '../../src/policies/render-policies.ts'
import { fc, runs } from '../support/fast-check.ts'

const patterns = [
  'ghcr.io/**',
  'ghcr.io/a/**',
  'ghcr.io/*/b',
  'ghcr.io/a/b',
  'docker.io/**',
  'docker.io/library/*',
  'nginx',
  'quay.io/a*/**',
] as const
const templates = ['m.example/{host}/{path}', 'm.example/{path}', 'm.example/up/{path}'] as const

const globs = {
  kyverno: [
    'ghcr.io/*',
    'ghcr.io/a/*',
    'ghcr.io/a*',
    'docker.io/*',
    'docker.io/nginx*',
    'docker.io/a/b:*',
    'quay.io/a/*',
    'ghcr.io/?/b:*',
    'gh*',
    'docker.io/library/*',
  ],
  gobwas: [
    'ghcr.io/*',
    'ghcr.io/{a,b}/*',
    'nginx*',
    'docker.io/library/nginx*',
    '[a-m]hcr.io/a/*',
    'quay.io/a?/*',
    'docker.io/**',
    'a/*',
  ],
  sigstore: [
    'ghcr.io/**',
    'ghcr.io/a/*',
    'ghcr.io/*/b',
    '*',
    '*/*',
    'index.docker.io/library/n*',
    'index.docker.io/**',
    'quay.io/a/**',
  ],
} as const

const policies = {
  kyverno: (list: readonly string[]) =>
    `apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: { name: p }\nspec:\n  rules:\n    - name: r\n      verifyImages:\n        - imageReferences:\n${list.map((glob) => `            - '${glob}'\n`).join('')}`,
  gobwas: (list: readonly string[]) =>
    `apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: { name: p }\nspec:\n  matchImageReferences:\n${list.map((glob) => `    - glob: '${glob}'\n`).join('')}`,
  sigstore: (list: readonly string[]) =>
    `apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: { name: p }\nspec:\n  images:\n${list.map((glob) => `    - glob: '${glob}'\n`).join('')}`,
} as const

/** Compared next to the examples that Berth makes. */
const images = [
  'nginx:1',
  'nginx',
  'a/b:1',
  'docker.io/nginx:1',
  'docker.io/a/b:1',
  'docker.io/library/nginx-b:1',
  'index.docker.io/library/nginx:1',
  'ghcr.io/a/b:1',
  'ghcr.io/a/b/c:1',
  'ghcr.io/ab/b:2',
  'quay.io/a1/x:1',
  'quay.io/a/x/y:1',
].map((image) => ({ image, pod: unknownPod }))

function configOf(rows: readonly (readonly [pattern: string, template: string])[]): Config {
  const list = rows.map(
    ([pattern, template], index) =>
      `  - { name: r${index}, images: ['${pattern}'], try: ['${template}'] }\n`,
  )
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: m.example, mirror: true }]\nfallback:\n${list.join('')}`,
    '/nowhere',
  )
  if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('\n'))
  return read.config
}

function leaving(config: Config, text: string) {
  const read = readManifests(text)
  if (!read.ok) throw new Error(read.message)
  const { rules } = readPolicies(read.manifests, 'policy.yaml')
  const { changes } = findPolicyChanges(config, rules, images)
  return { manifests: read.manifests, changes: changes.filter(({ change }) => change === 'leaves') }
}

describe('a rendered policy', () => {
  it.each(['kyverno', 'gobwas', 'sigstore'] as const)(
    'covers the mirrored names of all images that it covered: %s',
    (engine) => {
      const row = fc.tuple(fc.constantFrom(...patterns), fc.constantFrom(...templates))
      const rows = fc.uniqueArray(row, {
        minLength: 1,
        maxLength: 3,
        selector: ([pattern]) => pattern,
      })
      const list = fc.uniqueArray(fc.constantFrom<string>(...globs[engine]), {
        minLength: 1,
        maxLength: 3,
      })
      fc.assert(
        fc.property(rows, list, (pairs, texts) => {
          const config = configOf(pairs)
          const before = leaving(config, policies[engine](texts))
          const text = renderPolicies(
            before.manifests,
            config.table.rows,
            before.changes,
            () => true,
          )

          expect(text).not.toBeNull()
          const after = leaving(config, text ?? '')
          expect(after.changes.map(({ image, becomes }) => `${image} → ${becomes}`)).toEqual([])
        }),
        runs(50),
      )
    },
  )
})
