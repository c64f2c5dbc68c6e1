import { describe, expect, it } from 'vitest'
import { hostComponent } from '../../../src/decision/fallback/host-component.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { fc, runs } from '../../support/fast-check.ts'

describe('hostComponent', () => {
  it.each([
    ['ghcr.io', 'ghcr.io'],
    ['registry.corp:5000', 'registry.corp-5000'],
    ['registry.gitlab.corp:5050', 'registry.gitlab.corp-5050'],
    ['image-registry.openshift-image-registry.svc:5000', 'image-registry.openshift-image-registry.svc-5000'], // prettier-ignore
    ['localhost:5000', 'localhost-5000'],
    ['10.0.0.1:443', '10.0.0.1-443'],
    ['Registry.CORP:5000', 'registry.corp-5000'],
    ['[::1]:5000', '0--1-5000'],
    ['[FD00::1]', 'fd00--1'],
    ['[fd00::]', 'fd00--0'],
    ['[::]', '0--0'],
  ])('writes %s as %s', (host, component) => {
    expect(hostComponent(host)).toBe(component)
  })

  it('returns a legal path component for every host that an image can have', () => {
    const label = fc.stringMatching(/^[a-zA-Z0-9]{1,4}(-{1,2}[a-zA-Z0-9]{1,3})?$/)
    const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
    const ipv6 = fc.stringMatching(/^[a-fA-F0-9:]{1,12}$/).map((address) => `[${address}]`)
    const port = fc.oneof(
      fc.constant(''),
      fc.integer({ min: 0, max: 65_535 }).map((n) => `:${n}`),
    )
    const hosts = fc.tuple(fc.oneof(name, ipv6), port).map((parts) => parts.join(''))
    fc.assert(
      fc.property(hosts, (host) => {
        const original = parseReference(`${host}/x/y`)
        const path = `${hostComponent(host)}/x/y`
        const parsed = parseReference(`m.example/${path}`)
        fc.pre(original.ok)
        expect(parsed).toMatchObject({ ok: true, reference: { domain: 'm.example', path } })
      }),
      runs(500),
    )
  })
})
