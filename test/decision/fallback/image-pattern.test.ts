import { describe, expect, it } from 'vitest'
import { canonicalReference } from '../../../src/decision/fallback/registry-aliases.ts'
import { compilePattern } from '../../../src/decision/fallback/image-pattern.ts'
import { referenceOf } from '../../support/tables.ts'

describe('compilePattern', () => {
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
  ])('%s matches %s: %s', (text, image, expected) => {
    const result = compilePattern(text)

    expect(result.ok && result.pattern.matches(canonicalReference(referenceOf(image)))).toBe(
      expected,
    )
  })

  it.each([
    ['', 'empty'],
    ['anubis/**', 'Docker Hub user'],
    ['docker.io/nginx:1', 'tag'],
    ['docker.io/*:latest', 'tag'],
    ['docker.io/Nginx', 'lower case'],
    ['docker.io/NGINX/*', 'lower case'],
    ['{docker.io,ghcr.io}/**', 'one pattern for each alternative'],
    ['!(docker.io)/**', 'one pattern for each alternative'],
    ['docker.io/+(a|b)', 'one pattern for each alternative'],
    ['https://docker.io/**', 'scheme'],
    ['docker.io/a**', 'must be a whole segment'],
    ['docker.io/**/**/**/x', 'wildcards'],
    ['docker.io/*a*a*a*a*a*a*', 'wildcards'],
    ['*', 'write `**`'],
    ['docker.io//x', 'empty segment'],
    ['docker.io/*', 'two path segments'],
    ['docker.io/nginx*', 'write docker.io/library/nginx*'],
    ['foo_bar.com/**', 'not a valid host'],
    ['anubis:port/**', 'not a valid host'],
    ['a..b/**', 'not a valid host'],
    ['docker.io/a/foo[ab', 'has no `]`'],
    ['docker.io/*/../x', 'must begin and end'],
    ['*.io/../x', 'no image has a path segment `.` or `..`'],
    ['**/x/.', 'no image has a path segment `.` or `..`'],
    ['docker.io/.x/*', 'must begin and end'],
    [`docker.io/${'a'.repeat(300)}`, 'more than 256 characters'],
    [`nginx@sha256:${'a'.repeat(64)}`, 'digest'],
  ])('rejects %j: %s', (text, part) => {
    expect(compilePattern(text)).toMatchObject({
      ok: false,
      message: expect.stringContaining(part),
    })
  })
})
