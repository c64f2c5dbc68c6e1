import { describe, expect, it } from 'vitest'
import { closestWord, editDistance } from '../../src/text/did-you-mean.ts'

describe('closestWord', () => {
  const known = ['host', 'endpoint', 'mirror', 'pin', 'try', 'tags']

  it.each([
    ['hosts', 'host'],
    ['hots', 'host'],
    ['Endpoint', 'endpoint'],
    ['endpiont', 'endpoint'],
    ['mirrors', 'mirror'],
    ['pins', 'pin'],
    ['trys', 'try'],
  ])('of %s is %s', (word, expected) => {
    expect(closestWord(word, known)).toBe(expected)
  })

  it.each(['rules', 'probes', 'xy', ''])('of %j is null', (word) => {
    expect(closestWord(word, known)).toBeNull()
  })
})

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['latest', 'latset', 2],
  ])('of %j and %j is %i', (one, other, edits) => {
    expect(editDistance(one, other)).toBe(edits)
    expect(editDistance(other, one)).toBe(edits)
  })
})
