import { describe, expect, it } from 'vitest'
import { canRun, isPlatform, platformOf } from '../../../src/decision/platforms/platform.ts'

describe('a node', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/arm64', 'linux/arm64/v8'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64', 'linux/aarch64'],
    ['linux/amd64', 'linux/x86_64'],
    ['linux/amd64', 'linux/386'],
    ['linux/arm64', 'linux/arm/v7'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm', 'linux/arm/v6'],
    ['linux/arm/v7', 'linux/arm'],
    ['linux/arm/v7', 'linux/arm/7'],
    ['linux/amd64/v3', 'linux/amd64/v2'],
    ['linux/s390x', 'linux/s390x'],
    ['windows/amd64', 'windows/amd64'],
  ])('of %s runs %s', (wanted, available) => {
    expect(canRun(['linux/riscv64', available], wanted)).toBe(true)
  })

  it.each([
    ['linux/amd64', 'linux/arm64'],
    ['linux/arm64', 'linux/amd64'],
    ['linux/arm/v6', 'linux/arm/v7'],
    ['linux/arm/v6', 'linux/arm'],
    ['linux/arm', 'linux/arm64'],
    ['linux/386', 'linux/amd64'],
    ['linux/amd64', 'linux/amd64/v2'],
    ['linux/amd64', 'windows/amd64'],
    ['linux/ppc64le', 'linux/ppc64'],
    ['linux/amd64', ''],
  ])('of %s does not run %s', (wanted, available) => {
    expect(canRun([available], wanted)).toBe(false)
  })
})

describe('platformOf', () => {
  it.each([
    [{ os: 'linux', architecture: 'arm64', variant: 'v8' }, 'linux/arm64/v8'],
    [{ os: 'linux', architecture: 'amd64', variant: '' }, 'linux/amd64'],
    [{ os: 'unknown', architecture: 'unknown' }, null],
    [{ os: 'linux' }, null],
    [undefined, null],
    ['linux/amd64', null],
  ])('returns for %j: %s', (platform, name) => {
    expect(platformOf(platform)).toBe(name)
  })
})

describe('isPlatform', () => {
  it.each(['linux/amd64', 'linux/arm/v7', 'windows/amd64'])('accepts %s', (text) => {
    expect(isPlatform(text)).toBe(true)
  })

  it.each([
    'linux',
    'linux/',
    '/amd64',
    'linux/amd64/v2/x',
    'linux/am d64',
    `linux/${'a'.repeat(21)}`,
  ])('rejects %s', (text) => {
    expect(isPlatform(text)).toBe(false)
  })
})
