import { expect, it } from 'vitest'
import { isSameFailure } from '../../src/diagnose/failing-pods.ts'
import type { PullFailure } from '../../src/diagnose/pull-failure.ts'

/** A failure, and how often its message was read. */
function failureWith(text: string): {
  readonly failure: PullFailure
  readonly reads: () => number
} {
  let reads = 0
  const failure: PullFailure = {
    namespace: 'team',
    pod: 'web-0',
    container: 'main',
    image: 'mirror.example/app:1',
    field: 'containers/main',
    node: null,
    reason: 'ErrImagePull',
    get message() {
      reads += 1
      return text
    },
  }
  return { failure, reads: () => reads }
}

it('compares a failure in each pass without matching its message against the rules again', () => {
  const one = failureWith('mirror.example/app:1: not found')
  const other = failureWith('Back-off pulling image: mirror.example/app:1: not found')
  const passes = Array.from({ length: 10 }, () => isSameFailure(one.failure, other.failure))

  expect(new Set(passes)).toEqual(new Set([true]))
  expect([one.reads(), other.reads()]).toEqual([1, 1])
})
