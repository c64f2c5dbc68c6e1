import { describe, expect, it } from 'vitest'
import { parseName } from '../../../src/decision/reference/parse-name.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'

describe('parseName', () => {
  it.each([
    ['docker://nginx:1', 'nginx:1'],
    ['docker://registry.corp:5000/app', 'registry.corp:5000/app'],
    ['docker:dind', 'docker:dind'],
    ['oci:5000/app', 'oci:5000/app'],
    ['dir/app:1', 'dir/app:1'],
    ['ghcr.io/oci/app', 'ghcr.io/oci/app'],
  ])('reads %s as the image %s', (text, image) => {
    expect(parseName(text)).toEqual(parseReference(image))
    expect(parseName(text).ok).toBe(true)
  })

  it.each([
    'oci:layout',
    'oci:/tmp/layout:1',
    'oci-archive:images.tar',
    'docker-archive:images.tar',
    'docker-daemon:nginx:1',
    'containers-storage:nginx',
    'dir:images',
  ])('does not take %s for an image of Docker Hub', (text) => {
    expect(parseName(text)).toMatchObject({
      ok: false,
      message: expect.stringContaining('is a prefix of skopeo and podman') as string,
    })
  })

  it('reports a second scheme as before', () => {
    expect(parseName('https://ghcr.io/a/b')).toEqual(parseReference('https://ghcr.io/a/b'))
  })
})
