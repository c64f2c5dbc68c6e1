import { describe, expect, it } from 'vitest'
import { classify } from '../../../src/diagnose/rules/classify.ts'

const verdict = (message: string) => {
  const { rule, errors } = classify(message)
  return { rule: rule.id, errors }
}

describe('several errors in one message', () => {
  it("are split at the kubelet's list of one error per credential, and the most specific decides", () => {
    const message =
      'Failed to pull image "r.example/a:1": [rpc error: code = Unknown desc = failed to pull and unpack image "r.example/a:1": failed to resolve reference "r.example/a:1": failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 401 Unauthorized, rpc error: code = NotFound desc = failed to pull and unpack image "r.example/a:1": failed to resolve reference "r.example/a:1": manifest unknown]'

    expect(verdict(message)).toEqual({
      rule: 'D37',
      errors: [
        'failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 401 Unauthorized',
        'manifest unknown',
      ],
    })
  })

  it('rank a refused anonymous request last', () => {
    const message =
      '[rpc error: code = Unknown desc = failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://blobs.example/x": EOF, rpc error: code = Unknown desc = failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized]'

    expect(verdict(message).rule).toBe('D55')
  })

  it("are split at CRI-O's list of one error per mirror", () => {
    const message =
      'initializing source docker://quay.io/a/b:1: (Mirrors also failed: [mirror-a.example:5000/a/b:1: reading manifest 1 in mirror-a.example:5000/a/b: manifest unknown] [[::1]:5000/a/b:1: pinging container registry [::1]:5000: Get "https://[::1]:5000/v2/": dial tcp [::1]:5000: connect: connection refused]): quay.io/a/b:1: pinging container registry quay.io: Get "https://quay.io/v2/": dial tcp 203.0.113.1:443: i/o timeout'

    const { rule, errors } = verdict(message)

    expect(rule).toBe('D37')
    expect(errors).toHaveLength(3)
    expect(errors[2]).toContain('i/o timeout')
  })

  it('ignore the error of an artifact if there is one of an image', () => {
    const message =
      'unable to pull image or OCI artifact: pull image err: initializing source docker://q.example/a:1: reading manifest 1 in q.example/a: unauthorized: authentication required; artifact err: get manifest: build image source: reading manifest 1 in q.example/a: toomanyrequests'

    expect(verdict(message)).toEqual({
      rule: 'D28',
      errors: ['unauthorized: authentication required'],
    })
  })

  it('are not split at a list of addresses or of a single error', () => {
    expect(verdict('dial tcp [::1]:5000: connect: connection refused').errors).toHaveLength(1)
    expect(
      verdict('unexpected status code [manifests a, b]: 401 Unauthorized').errors,
    ).toHaveLength(1)
  })

  it('the same error twice is one', () => {
    expect(
      verdict('[rpc error: code = Unknown desc = a, rpc error: code = NotFound desc = a]').errors,
    ).toEqual(['a'])
  })
})

describe('quotes', () => {
  it.each([0, 1, 2, 3])('are removed at %i levels of escaping', (levels) => {
    let message =
      'failed to "StartContainer" for "app" with ErrImagePull: "failed to pull and unpack image \\"r.example/a:1\\": failed to resolve reference \\"r.example/a:1\\": unexpected status from HEAD request to https://r.example/v2/a/manifests/1: 401 Unauthorized"'
    for (let level = 0; level < levels; level++) message = JSON.stringify(message)

    expect(verdict(message).rule).toBe('D76')
  })
})

describe('credentials in a message', () => {
  it.each([
    ['Get "https://user:CANARY-SECRET@r.example/v2/": EOF'],
    ['Get "https://s3.example/blob?X-Amz-Signature=CANARY-SECRET&X-Amz-Expires=600": EOF'],
    ['unexpected header Authorization: Bearer CANARY-SECRET-aaaaaaaa: 401'],
    ['unexpected header Authorization: Basic CANARY/SECRET+aaaa==: 401'],
    ['invalid request token=CANARY-SECRET'],
  ])('are removed from its errors: %s', (message) => {
    expect(JSON.stringify(verdict(message))).not.toContain('CANARY')
  })
})
