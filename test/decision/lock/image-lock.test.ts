import { describe, expect, it } from 'vitest'
import { lockedDigest, lockKey, type LockedImage } from '../../../src/decision/lock/image-lock.ts'
import { formatLock, parseLock } from '../../../src/decision/lock/lock-text.ts'
import { digestA, digestB } from '../../support/manifest-answers.ts'
import { referenceOf } from '../../support/tables.ts'

const nginx: LockedImage = {
  image: 'docker.io/library/nginx:1.29',
  digest: digestA,
  from: 'anubis:32000',
  date: '2026-11-21',
}
const tool: LockedImage = {
  image: '[::1]:5000/tool:latest',
  digest: digestB,
  from: '[::1]:5000',
  date: '2026-11-20',
}
const lockOf = (...images: LockedImage[]) => new Map(images.map((each) => [each.image, each]))

describe('formatLock and parseLock', () => {
  it('write the same text for any order of images', () => {
    const text = formatLock(lockOf(nginx, tool))

    expect(formatLock(lockOf(tool, nginx))).toBe(text)
    expect(text)
      .toBe(`# Written by \`berth lock\`. A new digest changes what runs: review it as such.
apiVersion: berth.dev/v1alpha1
kind: BerthLock
images:
  - image: '[::1]:5000/tool:latest'
    digest: ${digestB}
    from: '[::1]:5000'
    date: '2026-11-20'
  - image: docker.io/library/nginx:1.29
    digest: ${digestA}
    from: anubis:32000
    date: '2026-11-21'
`)
  })

  it.each([[lockOf()], [lockOf(nginx, tool)]])('read the lock that they wrote', (lock) => {
    expect(parseLock(formatLock(lock))).toEqual({ ok: true, lock })
  })

  const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthLock\n'
  const entry = (more: Partial<LockedImage>) =>
    `${head}images: [${JSON.stringify({ ...nginx, ...more })}]`

  it.each([
    ['a: [', 'is not a lock file: line 1: invalid YAML: '],
    ['['.repeat(300_000), 'is not a lock file: line 1: maps and lists are nested more than 200'],
    ['a: &a [*a]', 'the alias is inside its own anchor'],
    ['', 'is not a lock file'],
    ['kind: BerthConfig', 'is not a lock file'],
    [head, 'has no list `images`'],
    [`${head}images: [nginx]`, 'images[0]: image, digest and from are required'],
    [entry({ date: 'today' }), 'images[0]: the date is not a day'],
    [entry({ image: 'nginx:1.29' }), 'write docker.io/library/nginx:1.29'],
    [entry({ image: 'NGINX' }), 'NGINX is not a valid image'],
    [entry({ digest: 'sha256:abc' }), 'sha256:abc is not a valid digest'],
    [
      `${head}images: [${JSON.stringify(nginx)}, ${JSON.stringify(nginx)}]`,
      'has docker.io/library/nginx:1.29 twice, again in images[1]',
    ],
  ])('reject %j: %s', (text, message) => {
    expect(parseLock(text)).toEqual({ ok: false, message: expect.stringContaining(message) })
  })
})

describe('lockKey', () => {
  it.each([
    ['nginx:1.29', 'docker.io/library/nginx:1.29'],
    ['nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['ghcr.io/a/b', 'ghcr.io/a/b:latest'],
  ])('of %s is %s', (image, key) => {
    expect(lockKey(referenceOf(image))).toBe(key)
  })
})

describe('lockedDigest', () => {
  it('is null for an image with a digest', () => {
    const lock = lockOf(nginx)

    expect(lockedDigest(lock, referenceOf('nginx:1.29'))).toBe(digestA)
    expect(lockedDigest(lock, referenceOf(`nginx:1.29@${digestB}`))).toBeNull()
    expect(lockedDigest(lock, referenceOf('nginx:1.28'))).toBeNull()
  })
})
