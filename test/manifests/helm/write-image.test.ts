import { describe, expect, it } from 'vitest'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import type { Reference } from '../../../src/decision/reference/reference.ts'
import { imagesInMap } from '../../../src/manifests/helm/value-images.ts'
import { writeImage } from '../../../src/manifests/helm/write-image.ts'
import { digestA } from '../../support/manifest-answers.ts'

function reference(image: string): Reference {
  const parsed = parseReference(image)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.reference
}

function write(values: object, to: string, kind: 'mirror' | 'alternate' = 'mirror') {
  const [image] = imagesInMap({ image: values }, [])
  if (image === undefined) throw new Error('no image')
  const [original, chosen] = [reference(image.image), reference(to)]
  const written = writeImage(image, { original, chosen, changed: true, kind })
  return written.ok ? { ...Object.fromEntries(written.parts), note: written.note } : written.problem
}

const hex = 'a'.repeat(64)

describe('imagesInMap', () => {
  it.each(['tagSuffix', 'suffix', 'variant', 'flavor', 'imagePrefix', 'registryHost'])(
    'does not tell how the chart composes an image with %s, unless it is empty',
    (key) => {
      const image = { repository: 'ghcr.io/a/b', tag: 'v1' }
      const problemOf = (value: string) =>
        imagesInMap({ image: { ...image, [key]: value } }, [])[0]?.problem

      expect(problemOf('debug')).toContain(`it has ${key}, which the chart can join`)
      expect(problemOf('')).toBeNull()
    },
  )
})

describe('writeImage', () => {
  it.each([
    [{ repository: 'ghcr.io/a/b', tag: 'v1' }, 'm:5000/a/b:v1', { name: 'm:5000/a/b', note: null }],
    [
      { registry: 'ghcr.io', repository: 'a/b', tag: 'v1', digest: '' },
      `m:5000/x/a/b:v2@${digestA}`,
      { registry: 'm:5000', name: 'x/a/b', tag: 'v2', digest: digestA, note: null },
    ],
    [
      { registry: 'ghcr.io/', repository: 'a/b', tag: 'v1' },
      'm:5000/a/b:v1',
      { registry: 'm:5000/', name: 'a/b', note: null },
    ],
    [
      { registry: 'ghcr.io/acme', repository: 'web', tag: 'v1' },
      'm:5000/ghcr.io/acme/web:v1',
      { registry: 'm:5000/ghcr.io/acme', note: null },
    ],
    [
      { registry: 'ghcr.io/acme', repository: 'web', tag: 'v1' },
      'm:5000/other:v1',
      { registry: 'm:5000', name: 'other', note: null },
    ],
    [
      { repository: 'ghcr.io/a/b', tag: 'v1', sha: '' },
      `m:5000/a/b:v1@${digestA}`,
      { name: 'm:5000/a/b', sha: hex, note: null },
    ],
    [
      { repository: 'docker.io/nginx', tag: 'v1', digest: null },
      `nginx:v1@${digestA}`,
      { digest: digestA, note: null },
    ],
    [
      { repository: 'ghcr.io/a/b:v1', tag: '' },
      `m:5000/a/b:v1@${digestA}`,
      { name: `m:5000/a/b:v1@${digestA}`, note: null },
    ],
    [
      { repository: 'ghcr.io/a/b', digest: digestA },
      `m:5000/a/b@${digestA}`,
      { name: 'm:5000/a/b', note: null },
    ],
  ])('writes %o as %s', (values, to, expected) => {
    expect(write(values, to)).toEqual(expected)
  })

  it('leaves out a digest that has no member, but not that of another publisher', () => {
    const values = { repository: 'ghcr.io/a/b', tag: 'v1' }
    const to = `quay.io/a/b:v1@${digestA}`

    expect(write(values, to)).toMatchObject({
      name: 'quay.io/a/b',
      note: expect.stringContaining('no member for a digest') as unknown,
    })
    expect(write(values, to, 'alternate')).toContain('another publisher needs a digest')
  })

  it('refuses a tag that has no member', () => {
    const values = { repository: 'ghcr.io/a/b', digest: digestA }

    expect(write(values, `m:5000/a/b:v2@${digestA}`)).toContain('cannot express m:5000/a/b:v2')
  })
})
