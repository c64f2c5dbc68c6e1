import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'

function read(body: string) {
  return readConfig(
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\npullSecretCopies:\n${body}`,
    '.',
  )
}

function problems(body: string): string[] {
  const result = read(body)
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path} ${message}`)
}

function chooser(namespaces: string) {
  const result = read(`  copies: [{ name: a, from: [b/c], namespaces: ${namespaces} }]`)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const [copy] = result.config.pullSecretCopies.copies
  return (name: string, labels = {}) => copy?.namespaces.matches(name, labels)
}

describe('namespaces', () => {
  it('are whole names: a pattern matches from the first to the last letter', () => {
    const chooses = chooser("['app', 'team-*', 'x.y']")

    expect(['app', 'team-a', 'team-'].map((name) => chooses(name))).toEqual([true, true, true])
    expect(['my-app', 'app2', 'a-team-a', 'xay'].map((name) => chooses(name))).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  it('are chosen by label, and by name too where both are given', () => {
    const chooses = chooser("{ names: ['t*'], selector: { matchLabels: { pull: 'yes' } } }")

    expect(chooses('team', { pull: 'yes' })).toBe(true)
    expect(chooses('team', { pull: 'no' })).toBe(false)
    expect(chooses('other', { pull: 'yes' })).toBe(false)
  })

  it.each([
    ['In', "{ key: a, operator: In, values: ['1'] }", [true, false, false]],
    ['NotIn', "{ key: a, operator: NotIn, values: ['1'] }", [false, true, true]],
    ['Exists', '{ key: a, operator: Exists }', [true, true, false]],
    ['DoesNotExist', '{ key: a, operator: DoesNotExist }', [false, false, true]],
  ])('know the operator %s as Kubernetes does', (_, expression, want) => {
    const chooses = chooser(`{ selector: { matchExpressions: [${expression}] } }`)

    expect([{ a: '1' }, { a: '2' }, {}].map((labels) => chooses('n', labels))).toEqual(want)
  })
})

describe('what is wrong', () => {
  it.each([
    ['[{ name: A, from: [b/c], namespaces: [x] }]', 'copies[0].name is no name for a Secret'],
    ['[{ name: a, from: [c], namespaces: [x] }]', 'from[0] c is no source; write NAMESPACE/NAME'],
    ['[{ name: a, from: [], namespaces: [x] }]', 'from is empty'],
    ['[{ name: a, from: [b/c], namespaces: x }]', 'namespaces is neither a list of names'],
    ['[{ name: a, from: [b/c], namespaces: [kube-system] }]', "the control plane's namespaces"],
    ['[{ name: a, from: [b/c], namespaces: ["{a,b}*"] }]', 'is no glob over names'],
    ['[{ name: a-dockercfg-b, from: [b/c], namespaces: [x] }]', 'OpenShift'],
    [
      '[{ name: a, from: [b/c], namespaces: [x] }, { name: a, from: [b/d], namespaces: [y] }]',
      'copied already',
    ],
  ])('%s', (copies, words) => {
    expect(problems(`  copies: ${copies}`).join('\n')).toContain(words)
  })

  it('globs have no Role each', () => {
    const copies = "[{ name: a, from: [b/c], namespaces: ['x*'] }]"

    expect(problems(`  rbac: namespaced\n  copies: ${copies}`)).toEqual([
      'pullSecretCopies.copies[0].namespaces has globs or a selector; with `rbac: namespaced` write each name out',
    ])
  })
})

describe('ensure', () => {
  const copy = '  copies: [{ name: a, from: [b/c], namespaces: [x], ensure: true }]\n'
  const warnings = (body: string) => {
    const result = read(body)
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
    return result.config.warnings.map(({ path, message }) => `${path} ${message}`)
  }

  it('warns where Berth does not add the name to pods', () => {
    expect(warnings(copy)).toEqual([
      'pullSecretCopies.copies[0].ensure helps only pods that name a themselves; name it under `pullSecrets` too',
    ])
    expect(warnings(`${copy}pullSecrets: [{ registries: [x.io], secret: a }]`)).toEqual([])
  })
})
