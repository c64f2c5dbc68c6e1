import { afterEach, beforeEach, expect, vi } from 'vitest'

// A test that prints hides a message that nobody reads: what a unit says, it says through what it was given.
beforeEach(() => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) vi.spyOn(console, method)
})

afterEach(() => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) {
    expect(vi.mocked(console[method]).mock.calls, `console.${method} was called`).toEqual([])
  }
  vi.restoreAllMocks()
})
