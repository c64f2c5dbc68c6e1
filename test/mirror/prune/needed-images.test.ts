import { describe, expect, it } from 'vitest'
import { createNeededImages, digestsOfImageId } from '../../../src/mirror/prune/needed-images.ts'
import { formatReference, withDefaultTag } from '../../../src/decision/reference/reference.ts'
import { candidatesOf } from '../../../src/decision/fallback/table.ts'
import { canonicalReference } from '../../../src/decision/fallback/registry-aliases.ts'
import { fc, runs, slow } from '../../support/fast-check.ts'
import { referenceOf, tableOf } from '../../support/tables.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('createNeededImages', () => {
  const table = tableOf(
    ['m.example', 'n.example'],
    [
      {
        name: 'team',
        when: { namespaces: ['team'] },
        images: ['docker.io/acme/*'],
        try: ['n.example/{namespace}/{name}'],
      },
      {
        name: 'hub',
        images: ['docker.io/**'],
        tags: { latest: 'stable' },
        try: ['m.example/{host}/{path}'],
      },
    ],
  )
  const neededAfter = (image: string, namespace: string | null) => {
    const needed = createNeededImages(table)
    expect(needed.addImage(image, namespace, 'Pod')).toBe(null)
    return needed
  }

  it('needs the names of all rows that match, whatever their conditions are', () => {
    const needed = neededAfter('acme/app:1', 'other')

    expect(needed.byTag('other/app', '1')).toBe('Pod')
    expect(needed.byTag('docker.io/acme/app', '1')).toBe('Pod')
    expect(needed.byTag('docker.io/acme/app', '2')).toBe(null)
  })

  it('needs the tag that a row maps to, and the tag itself', () => {
    const needed = neededAfter('nginx', 'a')

    expect(needed.byTag('docker.io/library/nginx', 'stable')).toBe('Pod')
    expect(needed.byTag('docker.io/library/nginx', 'latest')).toBe('Pod')
  })

  it('needs an image on a mirror by its own name, and under every host', () => {
    expect(neededAfter('other.example:5000/docker.io/x/y:1', 'a').byTag('docker.io/x/y', '1')).toBe(
      'Pod',
    )
  })

  it('needs the names with any namespace if the namespace is not known', () => {
    const needed = neededAfter(`acme/app:1@${digest}`, null)

    expect(needed.byTag('any/app', '1')).toBe('Pod')
    expect(needed.byTag('any/app2', '1')).toBe(null)
    expect(needed.digestsIn('any/app')).toEqual([digest])
    expect(needed.byDigest(digest)).toBe('Pod')
  })

  it('says why an image does not parse', () => {
    expect(createNeededImages(table).addImage('nginx:a b', 'a', 'Pod')).not.toBe(null)
  })

  it('reads the digests in image IDs of containerd, docker and CRI-O', () => {
    expect(digestsOfImageId(`docker.io/library/nginx@${digest}`)).toEqual([digest])
    expect(digestsOfImageId(`docker-pullable://nginx@${digest}`)).toEqual([digest])
    expect(digestsOfImageId(`docker://${digest}`)).toEqual([digest])
    expect(digestsOfImageId(digest)).toEqual([digest])
    expect(digestsOfImageId('a'.repeat(64))).toEqual([])
  })

  it('needs every candidate of every row', slow, () => {
    const segment = fc.constantFrom('acme', 'app', 'library', 'team')
    const image = fc
      .tuple(
        fc.constantFrom('docker.io', 'ghcr.io', 'm.example'),
        fc.array(segment, { minLength: 2, maxLength: 3 }),
        fc.constantFrom('1', 'latest', ''),
      ) // prettier-ignore
      .map(([host, path, tag]) => `${host}/${path.join('/')}${tag === '' ? '' : `:${tag}`}`)
    fc.assert(
      fc.property(image, segment, (text, namespace) => {
        const needed = neededAfter(text, namespace)
        const reference = withDefaultTag(canonicalReference(referenceOf(text)))
        for (const row of table.rows.filter(({ images }) =>
          images.some((each) => each.matches(reference)),
        ))
          for (const { reference: name } of candidatesOf(table, row, reference, {
            namespace,
            labels: null,
            owners: null,
          }))
            expect([
              name && formatReference(name),
              needed.byTag(name?.path ?? '', name?.tag ?? ''),
            ]).toEqual([name && formatReference(name), 'Pod'])
      }),
      runs(500),
    )
  })
})
