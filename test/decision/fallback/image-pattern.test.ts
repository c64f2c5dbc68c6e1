import { describe, expect, it } from 'vitest'
import { canonicalReference } from '../../../src/decision/fallback/registry-aliases.ts'
import { compilePattern, compileTagGlob } from '../../../src/decision/fallback/image-pattern.ts'
import { compileTemplate } from '../../../src/decision/fallback/image-template.ts'
import { referenceOf } from '../../support/tables.ts'

describe('patterns', () => {
  it.each([
    ['docker.io/**', 'nginx', true],
    ['docker.io/library/*', 'nginx', true],
    ['docker.io/library/*', 'a/b', false],
    ['nginx', 'docker.io/library/nginx:1', true],
    ['freeipa/freeipa-server', 'freeipa/freeipa-server', true],
    ['registry-1.docker.io/**', 'nginx', true],
    ['quay.io/**', 'quay.io.example/x', false],
    ['ghcr.io/a', 'ghcr.io/ab', false],
    ['*.dkr.ecr.*.amazonaws.com/**', '818140567777.dkr.ecr.us-east-1.amazonaws.com/a/b', true],
    ['*.gcr.io/**', 'eu.gcr.io/p/x', true],
    ['*.gcr.io/**', 'gcr.io/p/x', false],
    ['**/nginx', 'ghcr.io/a/b/nginx', true],
    ['[::1]:5000/**', '[::1]:5000/x', true],
    ['[::1]:5000/*', '[::1]:5000/a/b', false],
    ['ghcr.io/team-[ab]/*', 'ghcr.io/team-a/x', true],
    ['ghcr.io/team-[ab]/*', 'ghcr.io/team-c/x', false],
    ['ghcr.io/a.b/*', 'ghcr.io/axb/x', false],
    ['ghcr.io/x?/y', 'ghcr.io/xx/y', true],
  ])('%s over %s: %s', (text, image, want) => {
    const result = compilePattern(text)

    expect(result.ok && result.pattern.matches(canonicalReference(referenceOf(image)))).toBe(want)
  })

  it.each([
    ['', 'empty'],
    ['anubis/**', 'Docker Hub user'],
    ['docker.io/nginx:1', 'tag'],
    ['docker.io/*:latest', 'tag'],
    ['docker.io/Nginx', 'lower case'],
    ['docker.io/NGINX/*', 'lower case'],
    ['{docker.io,ghcr.io}/**', 'one pattern for each choice'],
    ['!(docker.io)/**', 'one pattern for each choice'],
    ['docker.io/+(a|b)', 'one pattern for each choice'],
    ['https://docker.io/**', 'scheme'],
    ['docker.io/a**', 'stands alone'],
    ['docker.io/**/**/**/x', 'wildcards'],
    ['docker.io/*a*a*a*a*a*a*', 'wildcards'],
    ['*', 'write `**`'],
    ['docker.io//x', 'two `/`'],
    ['docker.io/*', 'two segments'],
    ['docker.io/nginx*', 'write docker.io/library/nginx*'],
    ['foo_bar.com/**', 'no host name'],
    ['anubis:port/**', 'no host name'],
    ['a..b/**', 'no host name'],
    ['docker.io/a/foo[ab', 'without its `]`'],
    ['docker.io/*/../x', 'begins and ends'],
    ['docker.io/.x/*', 'begins and ends'],
    [`docker.io/${'a'.repeat(300)}`, 'longer'],
    [`nginx@sha256:${'a'.repeat(64)}`, 'digest'],
  ])('%j is refused: %s', (text, part) => {
    expect(compilePattern(text)).toMatchObject({
      ok: false,
      message: expect.stringContaining(part),
    })
  })
})

describe('tag globs', () => {
  it.each([
    ['latest', 'latest', true],
    ['*-snapshot', '1.2-snapshot', true],
    ['v[0-9]', 'v1', true],
    ['latest', 'latest2', false],
  ])('%s over %s: %s', (glob, tag, want) => {
    expect(compileTagGlob(glob)?.(tag)).toBe(want)
  })

  it.each(['', '{a,b}', 'a/b', '**', '*a*a*a*a*a*', 'x'.repeat(200)])('%j is refused', (glob) => {
    expect(compileTagGlob(glob)).toBeNull()
  })
})

describe('templates', () => {
  it.each([
    ['anubis:32000/{pth}', '{pth}'],
    ['{path}', 'begin with a host'],
    ['your-org/{path}', 'begin with a host'],
    ['nginx', 'begin with a host'],
    ['{host}.example/{path}', 'from parts'],
    ['m.{host}/{path}', 'from parts'],
    ['http://m.example/{path}', 'scheme'],
    ['m.example/{path}:1', 'tag or digest'],
    ['m.example/UP/{path}', 'never be an image name'],
    ['m.example//{path}', 'never be an image name'],
    ['m_x.example/{path}', 'never be an image name'],
  ])('%s is refused: %s', (text, part) => {
    const result = compileTemplate(text)

    expect(result.ok ? '' : result.message).toContain(part)
  })
})
