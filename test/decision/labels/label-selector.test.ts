import { describe, expect, it } from 'vitest'
import { matchesSelector, parseLabelSelector } from '../../../src/decision/labels/label-selector.ts'

const matches = (selector: unknown, labels: Readonly<Record<string, string>>): boolean =>
  matchesSelector(parseLabelSelector(selector), labels)

const expression = (operator: string, key = 'tier', values?: readonly unknown[]): unknown => ({
  matchExpressions: [{ key, operator, ...(values !== undefined && { values }) }],
})

describe('matchesSelector', () => {
  it('requires every label of matchLabels with the same value', () => {
    const selector = { matchLabels: { app: 'web', tier: 'front' } }

    expect(matches(selector, { app: 'web', tier: 'front', extra: 'x' })).toBe(true)
    expect(matches(selector, { app: 'web' })).toBe(false)
    expect(matches(selector, { app: 'web', tier: 'back' })).toBe(false)
  })

  it('requires matchLabels and matchExpressions together', () => {
    const selector = {
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'tier', operator: 'Exists' }],
    }

    expect(matches(selector, { app: 'web', tier: 'front' })).toBe(true)
    expect(matches(selector, { app: 'web' })).toBe(false)
    expect(matches(selector, { tier: 'front' })).toBe(false)
  })

  it.each([
    ['In', { tier: 'front' }, true],
    ['In', { tier: 'other' }, false],
    ['In', {}, false],
    ['NotIn', { tier: 'front' }, false],
    ['NotIn', { tier: 'other' }, true],
    ['NotIn', {}, true],
  ])('evaluates %s [front, back] for the labels %j', (operator, labels, expected) => {
    expect(matches(expression(operator, 'tier', ['front', 'back']), labels)).toBe(expected)
  })

  it.each([
    ['Exists', { tier: '' }, true],
    ['Exists', {}, false],
    ['DoesNotExist', { tier: '' }, false],
    ['DoesNotExist', {}, true],
  ])('evaluates %s for the labels %j', (operator, labels, expected) => {
    expect(matches(expression(operator), labels)).toBe(expected)
  })

  it.each(['constructor', '__proto__', 'toString'])(
    'treats the key %s as a label and not as an inherited property',
    (key) => {
      const labelled = JSON.parse(`{"${key}": "x"}`) as Record<string, string>
      const byLabel: unknown = JSON.parse(`{"matchLabels": {"${key}": "x"}}`)

      expect(matches(expression('Exists', key), {})).toBe(false)
      expect(matches(expression('DoesNotExist', key), {})).toBe(true)
      expect(matches(byLabel, {})).toBe(false)
      expect(matches(expression('Exists', key), labelled)).toBe(true)
      expect(matches(expression('In', key, ['x']), labelled)).toBe(true)
      expect(matches(byLabel, labelled)).toBe(true)
    },
  )

  it('selects everything with an empty selector', () => {
    expect(matches({}, {})).toBe(true)
    expect(matches({ matchLabels: {}, matchExpressions: [] }, { app: 'web' })).toBe(true)
    expect(matches({ matchLabels: null, matchExpressions: null }, {})).toBe(true)
  })

  it('selects nothing without a selector', () => {
    expect(matches(undefined, { app: 'web' })).toBe(false)
    expect(matches(null, {})).toBe(false)
  })
})

describe('parseLabelSelector', () => {
  it.each([
    ['an unknown operator', expression('Like', 'tier', ['front'])],
    ['an operator in lower case', expression('exists')],
    ['a requirement without a key', { matchExpressions: [{ operator: 'Exists' }] }],
    ['values that are not text', expression('In', 'tier', [1])],
    ['a label value that is not text', { matchLabels: { app: 1 } }],
    ['matchExpressions that are not a list', { matchExpressions: {} }],
    ['text', 'app=web'],
  ])('returns null for %s', (_, selector) => {
    expect(parseLabelSelector(selector)).toBeNull()
  })
})
