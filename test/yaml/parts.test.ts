import { describe, expect, it } from 'vitest'
import { manifestLimits } from '../../src/yaml/limits.ts'
import { parseYaml } from '../../src/yaml/parse-yaml.ts'

const text = '# first\na: 1\n---\nb: [\n---\nc: {d: x}\n--- # e\ne: "y"\n'
const at = (start: string, end: string) => ({
  start: text.indexOf(start),
  end: end === '' ? text.length : text.indexOf(end),
})

describe('parseYaml with parts', () => {
  it('parses only the documents of the parts, with their offsets in the text', () => {
    const parts = [at('# first', '---\nb'), at('---\nc', '')]
    const { documents, errors } = parseYaml(text, manifestLimits, { parts })

    expect(errors).toEqual([])
    expect(documents.map((document) => document.toJS() as unknown)).toEqual([
      { a: 1 },
      { c: { d: 'x' } },
      { e: 'y' },
    ])
    const offsets = documents.map(({ contents }) => contents?.range?.[0])
    expect(offsets).toEqual(['a:', 'c:', 'e:'].map((key) => text.indexOf(key)))
  })

  it('reports errors at their offset in the text', () => {
    const { errors } = parseYaml(text, manifestLimits, { parts: [at('---\nb', '---\nc')] })

    expect(errors.length).toBeGreaterThan(0)
    expect(errors[0]?.offset).toBeGreaterThan(text.indexOf('b: ['))
    const control = `${text}---\nf: \u0001\n`
    const parts = [{ start: text.length, end: control.length }]
    expect(parseYaml(control, manifestLimits, { parts }).errors).toMatchObject([
      { offset: control.indexOf('\u0001') },
    ])
  })
})
