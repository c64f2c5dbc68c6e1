import { describe, expect, it } from 'vitest'
import { parseProxy, proxyRulesFromEnvironment } from '../../src/proxy/proxy-rules.ts'

describe('parseProxy', () => {
  it.each([
    'http://svc:2024/Secret@proxy.example:3128',
    'svc:2024/Secret@proxy.example:3128',
    'http://svc:2024?Secret@proxy.example:3128',
    'http://svc:2024#Secret@proxy.example:3128',
    'http://proxy.example:3128/path',
  ])('rejects %s', (text) => {
    expect(parseProxy(text)).toBeNull()
  })

  it.each([
    'http://proxy.example:3128',
    'proxy.example:3128/',
    'http://u:p%2Fw@proxy.example:3128',
  ])('accepts %s', (text) => {
    expect(parseProxy(text)?.name).toBe('http://proxy.example:3128')
  })
})

it('makes requests fail if a variable has a password with an unescaped slash, and does not show it', () => {
  const rules = proxyRulesFromEnvironment({
    HTTPS_PROXY: 'http://svc:2024/Secret@proxy.example:3128',
  })

  expect(() => rules(new URL('https://r.example/'))).toThrow(
    /^HTTPS_PROXY is not the URL of an HTTP proxy; write http:\/\/HOST:PORT$/,
  )
})
