/** Fails every test that prints to the console. Code reports through its parameters, where tests can check it. */
import { afterEach, beforeEach, expect, vi } from 'vitest'

beforeEach(() => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) vi.spyOn(console, method)
})

afterEach(() => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) {
    expect(vi.mocked(console[method]).mock.calls, `console.${method} was called`).toEqual([])
  }
  vi.restoreAllMocks()
})
