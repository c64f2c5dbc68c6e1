import { describe, expect, it } from 'vitest'
import { compileTemplate } from '../../../src/decision/fallback/image-template.ts'

describe('compileTemplate', () => {
  it.each([
    ['anubis:32000/{pth}', 'unknown variable {pth}'],
    ['{path}', 'begin with a host'],
    ['your-org/{path}', 'begin with a host'],
    ['nginx', 'begin with a host'],
    ['{host}.example/{path}', 'mixes text and variables'],
    ['m.{host}/{path}', 'mixes text and variables'],
    ['http://m.example/{path}', 'scheme'],
    ['m.example/{path}:1', 'tag or a digest'],
    ['m.example/UP/{path}', 'can never make an image'],
    ['m.example//{path}', 'can never make an image'],
    ['m_x.example/{path}', 'can never make an image'],
  ])('rejects %s: %s', (text, part) => {
    const result = compileTemplate(text)

    expect(result.ok ? '' : result.message).toContain(part)
  })
})
