import { describe, expect, it } from 'vitest'
import { createObjectStore } from '../../../src/pull-secrets/cluster/object-store.ts'

describe('an object store', () => {
  it('keeps the newer version', () => {
    const store = createObjectStore<{ resourceVersion: string }>()

    expect(store.put('n', 'a', { resourceVersion: '10' })).toBe(true)
    expect(store.put('n', 'a', { resourceVersion: '9' })).toBe(false)
    expect(store.get('n', 'a')).toEqual({ resourceVersion: '10' })
  })

  it('forgets deleted objects', () => {
    const store = createObjectStore<{ resourceVersion: string }>()
    store.put('n', 'a', { resourceVersion: '10' })
    store.delete('n', 'a')

    expect(store.of('n').size).toBe(0)
  })
})
