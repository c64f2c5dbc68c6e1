import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { createClientCertificate } from '../../src/engine/client-certificate.ts'
import type { ClientCertificate } from '../../src/registry/http/connector.ts'
import { RequestFailedError } from '../../src/registry/http/network-error.ts'
import { makeClientCertificate } from '../support/client-certificate.ts'

let first: ClientCertificate
let second: ClientCertificate
let secretsDirectory: string
let problems: string[]

beforeAll(async () => {
  first = (await makeClientCertificate('a.example')).client
  second = (await makeClientCertificate('b.example')).client
})

beforeEach(() => {
  secretsDirectory = mkdtempSync(join(tmpdir(), 'berth-'))
  mkdirSync(join(secretsDirectory, 'client'))
  problems = []
})

function write({ cert, key }: ClientCertificate): void {
  writeFileSync(join(secretsDirectory, 'client/tls.crt'), cert)
  writeFileSync(join(secretsDirectory, 'client/tls.key'), key)
}

function load() {
  const settings = { kind: 'secret', name: 'client' } as const
  const onProblem = (message: string) => problems.push(message)
  const loader = createClientCertificate(settings, { secretsDirectory, onProblem })
  if (loader === null) throw new Error('no loader')
  return loader
}

it('returns the mounted Secret, the same object until it changes', () => {
  const read = load()
  write(first)
  const before = read()

  expect(before).toEqual(first)
  expect(read()).toBe(before)
  write(second)
  expect(read()).toEqual(second)
})

it('throws an error with the fix while the Secret does not exist', () => {
  expect(load()).toThrow(RequestFailedError)
  expect(load()).toThrow(
    /tls\.crt cannot be read: it does not exist; create the Secret client of the type kubernetes\.io\/tls in Berth's namespace/,
  )
})

it('keeps the last valid pair, and reports once, without the key', () => {
  const read = load()
  write(first)
  read()
  write({ cert: second.cert, key: first.key })

  expect(read()).toEqual(first)
  expect(read()).toEqual(first)
  expect(problems).toEqual([expect.stringContaining('are not a matching pair of PEM files')])
  rmSync(join(secretsDirectory, 'client/tls.key'))
  expect(read()).toEqual(first)
  expect(problems[1]).toContain('tls.key cannot be read: it does not exist')
  expect(problems.join()).not.toContain('PRIVATE KEY')
})
