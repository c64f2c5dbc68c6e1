import { describe, expect, it } from 'vitest'
import { parseLayoutIndex } from '../../../src/registry/layout/layout-index.ts'

const digest = `sha256:${'a'.repeat(64)}`

function read(annotations: Record<string, string>) {
  const manifests = [{ mediaType: 'm', digest, size: 1, annotations }]
  const [entry] = parseLayoutIndex(Buffer.from(JSON.stringify({ manifests })), 'index.json')
  return [entry?.repository, entry?.tag]
}

const refName = 'org.opencontainers.image.ref.name'
const containerd = 'io.containerd.image.name'

describe('the names in an index.json', () => {
  it.each([
    ['docker.io/library/nginx:1', ['docker.io/library/nginx', '1']],
    ['nginx:1', ['docker.io/library/nginx', '1']],
    ['registry.corp:5000/team/app:1', ['registry.corp:5000/team/app', '1']],
    [`quay.io/app@${digest}`, ['quay.io/app', null]],
    ['latest', [null, null]],
    ['../../etc/passwd:1', [null, null]],
    ['', [null, null]],
  ])('have %j as expected', (name, expected) => {
    expect(read({ [refName]: name })).toEqual(expected)
  })

  it('are those of containerd first, which has only the tag in the other annotation', () => {
    expect(read({ [refName]: '1', [containerd]: 'quay.io/app:1' })).toEqual(['quay.io/app', '1'])
  })
})
