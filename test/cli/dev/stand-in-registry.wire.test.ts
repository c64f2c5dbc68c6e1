import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type StandInRegistry, startStandIn } from '../../../src/cli/dev/stand-in-registry.ts'

let registry: StandInRegistry

beforeAll(async () => {
  registry = await startStandIn(['docker.io/library/nginx'])
})

afterAll(() => registry.close())

const get = async (path: string) => {
  const response = await fetch(registry.url + path)
  return { status: response.status, body: await response.text() }
}

describe('the stand-in for the mirror', () => {
  it('says that it is a registry', async () => {
    expect(await get('/v2/')).toEqual({ status: 200, body: '{}' })
  })

  it.each([
    ['docker.io/library/nginx', 200],
    ['docker.io/library/other', 404],
  ])('answers for %s with %i', async (repository, status) => {
    expect(await get(`/v2/${repository}/manifests/1`)).toMatchObject({ status })
  })
})
