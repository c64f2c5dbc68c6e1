import { fc } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { createHostMap } from '../../../src/decision/fallback/host-map.ts'
import {
  canonicalHost,
  canonicalReference,
  hubHost,
} from '../../../src/decision/fallback/registry-aliases.ts'
import { referenceOf } from '../../support/tables.ts'

describe('canonicalHost', () => {
  it.each([
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['Registry-1.Docker.IO:0443', 'docker.io'],
    ['GHCR.io:443', 'ghcr.io'],
    ['ghcr.io:00443', 'ghcr.io'],
    ['ghcr.io:80', 'ghcr.io:80'],
    ['ghcr.io:05000', 'ghcr.io:5000'],
    ['ghcr.io:000', 'ghcr.io:0'],
    ['[FE80::1]', '[fe80::1]'],
    ['[fe80::443]:443', '[fe80::443]'],
    ['[fe80::443]', '[fe80::443]'],
    ['', ''],
  ])('returns for %s the host %s', (host, canonical) => {
    expect(canonicalHost(host)).toBe(canonical)
  })

  it('returns its result unchanged', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9.-]{0,12}(?::[0-9]{1,6})?$/), (host) => {
        const canonical = canonicalHost(host)
        expect(canonicalHost(canonical)).toBe(canonical)
      }),
    )
  })

  it('takes linear time', () => {
    const started = performance.now()
    for (const host of ['0'.repeat(4_000), ':0'.repeat(2_000), `a:${'0'.repeat(4_000)}x`])
      canonicalHost(host)

    expect(performance.now() - started).toBeLessThan(500)
  })
})

describe('canonicalReference', () => {
  it('adds library/ to an official image of Docker Hub only', () => {
    expect(canonicalReference(referenceOf('docker.io:443/nginx:1')).path).toBe('library/nginx')
    expect(canonicalReference(referenceOf('ghcr.io:443/nginx:1')).path).toBe('nginx')
  })
})

describe('hubHost', () => {
  it('leaves hosts as they are written, except aliases of Docker Hub', () => {
    expect(['index.docker.io', 'DOCKER.IO', 'ghcr.io:443'].map(hubHost)).toEqual([
      'docker.io',
      'DOCKER.IO',
      'ghcr.io:443',
    ])
  })
})

describe('a host map', () => {
  it('finds a value by every spelling of its host, and iterates over the hosts as written', () => {
    const map = createHostMap<number>((host) => host === 'p.example')
    map.set('M.example:443', 1).set('m.example', 2).set('p.example', 3)

    expect(
      ['m.example', 'm.example:0443', 'p.example:80', 'p.example:443'].map((host) => map.get(host)),
    ).toEqual([2, 2, 3, undefined])
    expect([map.has('M.EXAMPLE'), map.has('m.example:80')]).toEqual([true, false])
    expect([...map]).toEqual([
      ['M.example:443', 2],
      ['p.example', 3],
    ])
  })
})
