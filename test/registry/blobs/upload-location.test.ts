import { describe, expect, it } from 'vitest'
import { uploadLocation } from '../../../src/registry/blobs/upload-location.ts'
import type { HttpResponse } from '../../../src/registry/http/messages.ts'
import type { Repository } from '../../../src/registry/registry-client.ts'

function locate(location: string | undefined, endpoint = 'https://registry.corp:8443/hub') {
  const repository = { host: 'images.corp', endpoint: new URL(endpoint) } as Repository
  const response = {
    header: (name: string) => (name === 'location' && location !== undefined ? [location] : []),
    url: new URL(`${endpoint}/v2/app/blobs/uploads/`),
  } as unknown as HttpResponse
  return uploadLocation(repository, response).href
}

const path = '/v2/app/blobs/uploads/1?_state=a%2Fb=='

describe('uploadLocation', () => {
  it.each([
    [path],
    [`/hub${path}`],
    [`http://registry.corp${path}`],
    [`https://registry.corp${path}`],
    [`http://registry.corp:8443${path}`],
    [`http://images.corp${path}`],
    [`https://images.corp/other${path}`],
  ])('returns the endpoint for %s', (location) => {
    expect(locate(location)).toBe(`https://registry.corp:8443/hub${path}`)
  })

  it.each([
    ['https://storage.corp/upload?signature=a%2Fb'],
    ['https://registry.corp:9000/bucket/v2/x'],
    ['https://registry.corp/bucket/x'],
  ])('returns %s as it is', (location) => {
    expect(locate(location)).toBe(location)
  })

  it.each(['http://backend:5000', 'http://registry.corp.evil', 'http://registry.corp:5000'])(
    'refuses plain HTTP on %s, and says what to set',
    (origin) => {
      const host = new URL(origin).host
      expect(() => locate(`${origin}${path}`)).toThrow(
        `images.corp sends the upload to plain HTTP on ${host}; if a proxy in front of it terminates TLS, set X-Forwarded-Proto and Host there`,
      )
    },
  )

  it.each([undefined, 'http://[', 'file:///etc/passwd', 'https://user:pass@registry.corp/v2/x'])(
    'refuses the location %s',
    (location) => {
      expect(() => locate(location)).toThrow('without a usable Location header')
    },
  )
})
