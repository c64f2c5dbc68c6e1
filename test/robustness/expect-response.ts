/** Checks that hold for every response, whatever the request was. */
import { expect } from 'vitest'
import type { Operation } from './json-patch.ts'

const members = new Set([
  'uid',
  'allowed',
  'status',
  'patchType',
  'patch',
  'warnings',
  'auditAnnotations',
])

/** Checks a response at least as strictly as an API server does, and returns the operations of its patch. */
export function expectResponse(response: Readonly<Record<string, unknown>>): Operation[] {
  const { allowed, status, patchType, patch, warnings, auditAnnotations = {} } = response
  expect(Object.keys(response).filter((name) => !members.has(name))).toEqual([])
  expect(allowed).toBeTypeOf('boolean')
  expect([status !== undefined, patchType]).toEqual([
    allowed === false,
    patch === undefined ? undefined : 'JSONPatch',
  ])
  if (warnings !== undefined) expectWarnings(warnings)
  for (const [name, value] of Object.entries(auditAnnotations as object)) {
    expect([name, typeof value]).toEqual([expect.stringMatching(/^[a-z]{1,63}$/), 'string'])
  }
  if (patch === undefined) return []
  expect(allowed).toBe(true)
  const bytes = Buffer.from(patch as string, 'base64')
  expect(bytes.toString('base64')).toBe(patch)
  const operations = JSON.parse(bytes.toString()) as Operation[]
  expect(operations.length).toBeGreaterThan(0)
  return operations
}

function expectWarnings(warnings: unknown): void {
  expect(Array.isArray(warnings) && warnings.length >= 1 && warnings.length <= 5).toBe(true)
  for (const line of warnings as unknown[]) expect(line).toMatch(/^[ -~]{1,120}$/)
}

/** Checks that an error response has a known status and one line of plain text. */
export function expectErrorResponse(status: number, type: unknown, body: string): void {
  expect([400, 404, 405, 413, 415, 503]).toContain(status)
  expect(type).toBe('text/plain; charset=utf-8')
  expect(body).toMatch(/^[ -~]+\n$/)
}
