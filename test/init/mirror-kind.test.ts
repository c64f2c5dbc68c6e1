import { describe, expect, it } from 'vitest'
import { kindOfHost } from '../../src/init/mirror-kind.ts'

describe('kindOfHost', () => {
  it.each([
    ['818140567777.dkr.ecr.us-east-1.amazonaws.com', 'ecr'],
    ['818140567777.dkr.ecr.us-east-1.amazonaws.com.evil.example', null],
    ['public.ecr.aws', null],
    ['acme.azurecr.io', 'acr'],
    ['azurecr.io.example', null],
    ['europe-docker.pkg.dev', 'gar'],
    ['ghcr.io', 'ghcr'],
    ['quay.io', 'quay'],
    ['acme.jfrog.io', 'artifactory'],
    ['localhost:32000', 'microk8s'],
    ['localhost:5000', null],
    ['harbor.corp', null],
  ])('reads %s as %s', (host, kind) => {
    expect(kindOfHost(host)).toBe(kind)
  })
})
