/** Admission with a fixed table and registries that always answer the same, without a network. */
import { setImmediate as turn } from 'node:timers/promises'
import { createLane } from '../../src/async/lane.ts'
import { createDecideByRow } from '../../src/decision/resolve/decide-by-row.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import { hasDenial, type ResolvePolicy } from '../../src/decision/resolve/resolve-policy.ts'
import type { ResolveDependencies } from '../../src/decision/resolve/probe-candidate.ts'
import type { AdmissionPolicy } from '../../src/decision/pod/decide-sites.ts'
import { noNamespaceLookup } from '../../src/webhook/admission/namespace-lookup.ts'
import { type Admit, createAdmit } from '../../src/webhook/admission/admit.ts'
import { writeReview } from '../../src/webhook/admission/admission-response.ts'
import { readReview } from '../../src/webhook/admission/admission-review.ts'
import type { ManifestAnswer, ManifestQuery } from '../../src/decision/resolve/manifest-source.ts'
import { compilePattern } from '../../src/decision/fallback/image-pattern.ts'
import { digestA, digestB, failed, found } from '../support/manifest-answers.ts'
import { type RowInput, tableOf } from '../support/tables.ts'

export const deniedImage = 'denied.example/app:1'

/** The hosts of the config. No other host may ever be asked. */
export const knownHosts: ReadonlySet<string> = new Set([
  'mirror.example',
  'docker.io',
  'quay.io',
  'ghcr.io',
  'gone.example',
])

const rows: readonly RowInput[] = [
  { name: 'own', images: ['mirror.example/**'], try: ['mirror.example/{path}'] },
  {
    name: 'hub',
    images: ['docker.io/**'],
    try: ['mirror.example/{host}/{path}', 'docker.io/{path}'],
  },
  { name: 'quay', images: ['quay.io/**'], try: ['gone.example/{path}', 'quay.io/{path}'] },
  // An alternate whose registry has a row itself.
  { name: 'ghcr', images: ['ghcr.io/**'], try: ['quay.io/{path}', 'ghcr.io/{path}'] },
  {
    name: 'first',
    images: ['first.example/**'],
    try: ['gone.example/{path}'],
    otherwise: 'first',
  },
]
/** Of the kinds of owners that the generated pods have. */
const conflict: RowInput = {
  name: 'known:all',
  when: { owners: ['apps/*', 'db.example/*'] },
  leave: true,
  isKnownConflict: true,
}
const denyRow: RowInput = {
  name: 'no-entry',
  images: ['denied.example/**'],
  try: ['gone.example/{path}'],
  otherwise: 'deny',
}

function answerOf({ host, repository }: ManifestQuery): ManifestAnswer {
  if (host === 'gone.example') return failed('unreachable', 'ECONNREFUSED')
  if (host === 'ghcr.io') return failed('denied', '403')
  return repository.length % 3 === 0
    ? failed('absent', '404')
    : found(host === 'quay.io' ? digestB : digestA)
}

export interface Subject {
  readonly admit: Admit
  /** The queries of the last review. */
  readonly asked: readonly ManifestQuery[]
  readonly bugs: unknown[]
  /** Returns the response to the text of a review. Throws when the text is not a review. */
  answer(review: string | Buffer): Promise<Readonly<Record<string, unknown>>>
}

export function createSubject({ denies = false, hasConflicts = false } = {}): Subject {
  const asked: ManifestQuery[] = []
  const bugs: unknown[] = []
  const secret: AdmissionPolicy['pullSecrets'][number] = {
    secret: 'ours',
    matches: ({ domain }) => domain === 'mirror.example',
  }
  const pattern = compilePattern('mirror.example/**')
  if (!pattern.ok) throw new Error(pattern.message)
  const policy: ResolvePolicy & AdmissionPolicy = {
    table: tableOf(
      ['mirror.example'],
      denies ? [...rows, denyRow] : rows,
      hasConflicts ? [conflict] : [],
    ),
    pin: { matches: (tag) => tag === 'latest', unresolved: 'keep' },
    pullPolicy: [{ images: [pattern.pattern], set: 'Always' }],
    pullSecrets: [secret],
    mode: 'enforce',
  }
  const dependencies: ResolveDependencies = {
    queryManifest: (question) => {
      asked.push(question)
      return Promise.resolve(answerOf(question))
    },
    isListed: (host) => knownHosts.has(host),
    isProbed: () => true,
    now: () => 0,
  }
  const admit = createAdmit({
    currentEngine: () => ({
      policy,
      decide: createDecide(dependencies, policy),
      decideByRow: createDecideByRow(dependencies, policy),
      hasDenial: hasDenial(policy),
    }),
    namespaceLookup: noNamespaceLookup,
    lane: createLane(),
    onBug: (error) => bugs.push(error),
  })
  return {
    admit,
    asked,
    bugs,
    async answer(text) {
      const review = readReview(Buffer.from(text))
      if (!review.ok) throw new Error(review.message)
      asked.length = 0
      // Weak references are released only between two turns of the event loop, and nothing else here waits.
      await turn()
      const { signal } = new AbortController()
      const { verdict } = await admit(review.request, {
        signal: () => signal,
        observeOnly: false,
      })
      const { response } = JSON.parse(writeReview(review.request.uid, verdict)) as {
        response: Record<string, unknown>
      }
      return response
    },
  }
}
