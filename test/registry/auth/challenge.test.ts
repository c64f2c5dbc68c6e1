import { fc } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { parseChallenges } from '../../../src/registry/auth/challenge.ts'

const realm = 'https://auth.example/token'

interface Row {
  readonly name: string
  readonly headers: readonly string[]
  readonly want: readonly (readonly [string, Readonly<Record<string, string>>])[]
}

describe('parseChallenges', () => {
  it.each<Row>([
    {
      name: 'a bearer challenge',
      headers: [`Bearer realm="${realm}",service="reg.example",scope="repository:a/b:pull"`],
      want: [['bearer', { realm, service: 'reg.example', scope: 'repository:a/b:pull' }]],
    },
    {
      name: 'commas inside quotes',
      headers: [`Bearer realm="${realm}",scope="repository:a/b:pull,push",error="x"`],
      want: [['bearer', { realm, scope: 'repository:a/b:pull,push', error: 'x' }]],
    },
    {
      name: 'mixed case and spaces',
      headers: [`bEaReR  Realm = "${realm}" ,  SERVICE="S"`],
      want: [['bearer', { realm, service: 'S' }]],
    },
    {
      name: 'two challenges in one header',
      headers: [`Basic realm="x", Bearer realm="${realm}",service="s"`],
      want: [
        ['basic', { realm: 'x' }],
        ['bearer', { realm, service: 's' }],
      ],
    },
    {
      name: 'two headers',
      headers: [`Bearer realm="${realm}"`, 'Basic realm="x"'],
      want: [
        ['bearer', { realm }],
        ['basic', { realm: 'x' }],
      ],
    },
    {
      name: 'no service',
      headers: [`Bearer realm="${realm}"`],
      want: [['bearer', { realm }]],
    },
    {
      name: 'a realm with a query',
      headers: [`Bearer realm="${realm}?account=a&x=1,2",service="s"`],
      want: [['bearer', { realm: `${realm}?account=a&x=1,2`, service: 's' }]],
    },
    {
      name: 'escapes',
      headers: [String.raw`Basic realm="say \"hi\", \\ there"`],
      want: [['basic', { realm: String.raw`say "hi", \ there` }]],
    },
    {
      name: 'values without quotes',
      headers: [`Bearer realm=${realm},service=reg.example`],
      want: [['bearer', { realm, service: 'reg.example' }]],
    },
    {
      name: 'a scheme without parameters',
      headers: ['Negotiate, Basic realm="x"'],
      want: [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    },
    {
      name: 'a scheme with a token68 value',
      headers: ['Negotiate oYGVMIGSoAMKAQE=, Basic realm="x"'],
      want: [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    },
    {
      name: 'empty elements',
      headers: [',, ,Basic realm="x",,'],
      want: [['basic', { realm: 'x' }]],
    },
    {
      name: 'the first of two parameters with one name',
      headers: ['Basic realm="x", realm="y"'],
      want: [['basic', { realm: 'x' }]],
    },
    {
      name: 'a parameter without a scheme',
      headers: ['realm="x"'],
      want: [],
    },
    {
      name: 'a quote that is never closed',
      headers: [`Basic realm="x", Bearer realm="${realm}, service="s"`],
      want: [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: `${realm}, service=` }],
        ['s', {}],
      ],
    },
    {
      name: 'a quote that contains the rest',
      headers: ['Basic realm="x, Bearer realm='],
      want: [['basic', {}]],
    },
    {
      name: 'unreadable text between challenges',
      headers: ['@@ "a, b" ;; , Basic realm="x"'],
      want: [['basic', { realm: 'x' }]],
    },
    { name: 'empty headers', headers: ['', '   '], want: [] },
  ])('parses $name', ({ headers, want }) => {
    const found = parseChallenges(headers).map(({ scheme, parameters }) => [
      scheme,
      Object.fromEntries(parameters),
    ])

    expect(found).toEqual(want)
  })

  it('never throws, and always terminates', () => {
    const word = fc.constantFrom('Bearer', ' ', '"', '\\', ',', '=', 'realm', 'a', '/', '@', '\t')
    const header = fc.oneof(
      fc.string(),
      fc.array(word).map((words) => words.join('')),
    )

    fc.assert(fc.property(fc.array(header), (headers) => Array.isArray(parseChallenges(headers))))
  })

  // The longest header that the transport accepts.
  it.each(['"', '\\"', '"\\"', 'a ', 'a=', ',', '@', 'a="', '= "'])(
    'parses 16 KiB of %j',
    (piece) => {
      const header = piece.repeat(Math.floor(16_384 / piece.length))

      expect(parseChallenges([header])).toBeInstanceOf(Array)
    },
  )
})
