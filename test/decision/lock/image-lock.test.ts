import { describe, expect, it } from 'vitest'
import {
  formatLock,
  lockedDigest,
  lockKey,
  type LockedImage,
  parseLock,
} from '../../../src/decision/lock/image-lock.ts'
import { digestA, digestB } from '../../support/questions.ts'
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

describe('a lock file', () => {
  it('is the same text whatever the order in which images were found', () => {
    const text = formatLock(lockOf(nginx, tool))

    expect(formatLock(lockOf(tool, nginx))).toBe(text)
    expect(text)
      .toBe(`# Written by \`berth lock\`. A change of a digest is a change of what runs: review it as such.
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

  it.each([[lockOf()], [lockOf(nginx, tool)]])('is read as it was written', (lock) => {
    expect(parseLock(formatLock(lock))).toEqual({ ok: true, lock })
  })

  const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthLock\n'
  const entry = (more: Partial<LockedImage>) =>
    `${head}images: [${JSON.stringify({ ...nginx, ...more })}]`

  it.each([
    ['a: [', 'is no YAML'],
    ['', 'is no lock file'],
    ['kind: BerthConfig', 'is no lock file'],
    [head, 'has no list `images`'],
    [`${head}images: [nginx]`, 'images[0] needs image, digest and from'],
    [entry({ date: 'today' }), 'images[0] has a date that is no day'],
    [
      entry({ image: 'nginx:1.29' }),
      'the name with its tag and without a digest is docker.io/library/nginx:1.29',
    ],
    [entry({ image: 'NGINX' }), 'has NGINX, which is no image name'],
    [entry({ digest: 'sha256:abc' }), 'has sha256:abc, which is no digest'],
    [
      `${head}images: [${JSON.stringify(nginx)}, ${JSON.stringify(nginx)}]`,
      'images[1] has docker.io/library/nginx:1.29 a second time',
    ],
  ])('%j is refused: %s', (text, message) => {
    expect(parseLock(text)).toEqual({ ok: false, message: expect.stringContaining(message) })
  })
})

describe('an image', () => {
  it.each([
    ['nginx:1.29', 'docker.io/library/nginx:1.29'],
    ['nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['ghcr.io/a/b', 'ghcr.io/a/b:latest'],
  ])('%s is found as %s', (image, key) => {
    expect(lockKey(referenceOf(image))).toBe(key)
  })

  it('with a digest of its own is not locked to another', () => {
    const lock = lockOf(nginx)

    expect(lockedDigest(lock, referenceOf('nginx:1.29'))).toBe(digestA)
    expect(lockedDigest(lock, referenceOf(`nginx:1.29@${digestB}`))).toBeNull()
    expect(lockedDigest(lock, referenceOf('nginx:1.28'))).toBeNull()
  })
})
