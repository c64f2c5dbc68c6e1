import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { problemText } from '../../src/config/problem.ts'

function read(body: string) {
  return readConfig(
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\npullSecretCopies:\n${body}`,
    '.',
  )
}

function problems(body: string): string[] {
  const result = read(body)
  return result.ok ? [] : result.problems.map(problemText)
}

function selectorOf(namespaces: string) {
  const result = read(`  copies: [{ name: a, from: [b/c], namespaces: ${namespaces} }]`)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const [copy] = result.config.pullSecretCopies.copies
  return (name: string, labels = {}) => copy?.namespaces.matches(name, labels)
}

describe('the limit of writes', () => {
  const limitOf = (body: string) => {
    const result = read(body)
    return result.ok ? result.config.pullSecretCopies.writesPerSecond : null
  }

  it('is ten a second by default', () => {
    expect(limitOf('  copies: []')).toBe(10)
    expect(limitOf('  writesPerSecond: 50')).toBe(50)
  })

  it.each(['0', '101', '2.5', 'fast'])('is not %s', (value) => {
    expect(problems(`  writesPerSecond: ${value}`)).toEqual([
      expect.stringContaining('pullSecretCopies.writesPerSecond: must be'),
    ])
  })
})

describe('namespaces', () => {
  it('match as whole names', () => {
    const matches = selectorOf("['app', 'team-*', 'x.y']")

    expect(['app', 'team-a', 'team-'].map((name) => matches(name))).toEqual([true, true, true])
    expect(['my-app', 'app2', 'a-team-a', 'xay'].map((name) => matches(name))).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  it('match by label, and by name if both are given', () => {
    const matches = selectorOf("{ names: ['t*'], selector: { matchLabels: { pull: 'yes' } } }")

    expect(matches('team', { pull: 'yes' })).toBe(true)
    expect(matches('team', { pull: 'no' })).toBe(false)
    expect(matches('other', { pull: 'yes' })).toBe(false)
  })

  it.each([
    ['In', "{ key: a, operator: In, values: ['1'] }", [true, false, false]],
    ['NotIn', "{ key: a, operator: NotIn, values: ['1'] }", [false, true, true]],
    ['Exists', '{ key: a, operator: Exists }', [true, true, false]],
    ['DoesNotExist', '{ key: a, operator: DoesNotExist }', [false, false, true]],
  ])('match the operator %s as in Kubernetes', (_, expression, expected) => {
    const matches = selectorOf(`{ selector: { matchExpressions: [${expression}] } }`)

    expect([{ a: '1' }, { a: '2' }, {}].map((labels) => matches('n', labels))).toEqual(expected)
  })
})

describe('problems', () => {
  it.each([
    ['[{ name: A, from: [b/c], namespaces: [x] }]', 'copies[0].name: not a valid name of a Secret'],
    [
      '[{ name: a, from: [c], namespaces: [x] }]',
      'from[0]: "c" is not the source of a copy; write NAMESPACE/NAME',
    ],
    ['[{ name: a, from: [], namespaces: [x] }]', 'from: must not be empty'],
    ['[{ name: a, from: [b/c], namespaces: x }]', 'namespaces: must be a list of names'],
    [
      '[{ name: a, from: [b/c], namespaces: [kube-system] }]',
      'does not copy secrets to namespaces of the control plane; remove kube-system',
    ],
    ['[{ name: a, from: [b/c], namespaces: ["{a,b}*"] }]', 'is not a glob for names'],
    ['[{ name: a-dockercfg-b, from: [b/c], namespaces: [x] }]', 'OpenShift'],
    [
      '[{ name: a, from: [b/c], namespaces: [x] }, { name: a, from: [b/d], namespaces: [y] }]',
      'an earlier entry has the name a',
    ],
  ])('are reported: %s', (copies, words) => {
    expect(problems(`  copies: ${copies}`).join('\n')).toContain(words)
  })

  it('include globs with rbac: namespaced', () => {
    const copies = "[{ name: a, from: [b/c], namespaces: ['x*'] }]"

    expect(problems(`  rbac: namespaced\n  copies: ${copies}`)).toEqual([
      'pullSecretCopies.copies[0].namespaces: `rbac: namespaced` allows neither globs nor a label selector; list the full name of each namespace',
    ])
  })
})

describe('ensure', () => {
  const copy = '  copies: [{ name: a, from: [b/c], namespaces: [x], ensure: true }]\n'
  const warnings = (body: string) => {
    const result = read(body)
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
    return result.config.warnings.map(problemText)
  }

  it('causes a warning if Berth does not add the copy to pods', () => {
    expect(warnings(copy)).toEqual([
      'pullSecretCopies.copies[0].ensure: `ensure` only works for pods that list a in imagePullSecrets; also add a to `pullSecrets`',
    ])
    expect(warnings(`${copy}pullSecrets: [{ registries: [x.io], secret: a }]`)).toEqual([])
  })
})
