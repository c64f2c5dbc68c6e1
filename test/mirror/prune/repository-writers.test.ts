import { describe, expect, it } from 'vitest'
import { createFindWriters } from '../../../src/mirror/prune/repository-writers.ts'
import { repositoryName } from '../../../src/decision/reference/reference.ts'
import { tableOf } from '../../support/tables.ts'

function writersOf(images: readonly string[], template: string, path: string) {
  const table = tableOf(['m.example'], [{ name: 'row', images, try: [template, '{host}/{path}'] }])
  return createFindWriters(table)('m.example', path).map(({ source, hasHost }) => ({
    source: repositoryName(source),
    hasHost,
  }))
}

describe('createFindWriters', () => {
  it.each([
    [['docker.io/**'], '{host}/{path}', 'docker.io/library/nginx', 'docker.io/library/nginx'],
    [['**'], '{host}/{path}', 'ghcr.io/acme/app', 'ghcr.io/acme/app'],
    [['**'], '{host}/{path}', 'registry.corp-5000/app', 'registry.corp:5000/app'],
    [['docker.io/**'], 'hub/{path}', 'hub/library/nginx', 'docker.io/library/nginx'],
    [
      ['docker.io/bitnami/*'],
      'bitnamilegacy/{name}',
      'bitnamilegacy/redis',
      'docker.io/bitnami/redis',
    ],
    [['docker.io/acme/app'], 'fixed/app', 'fixed/app', 'docker.io/acme/app'],
    [['ghcr.io/acme/**'], 'acme/{rest}', 'acme/team/app', 'ghcr.io/acme/team/app'],
    [['docker.io/**'], 'flat/{flat}', 'flat/library-nginx', 'docker.io/library/nginx'],
    [['ghcr.io/acme/charts/*'], '{flat}', 'acme-charts-web', 'ghcr.io/acme/charts/web'],
    [['ghcr.io/**'], '{namespace}/{name}', 'team/app', 'ghcr.io/app'],
  ])('finds the images of %j that %s writes to %s', (images, template, path, source) => {
    expect(writersOf(images, `m.example/${template}`, path)).toContainEqual({
      source,
      hasHost: template.includes('{host}'),
    })
  })

  it.each([
    [['docker.io/**'], '{host}/{path}', 'ghcr.io/acme/app'],
    [['docker.io/**'], '{host}/{path}', 'docker.io/nginx'],
    [['docker.io/**'], '{host}/{path}', 'team/app'],
    [['docker.io/team/*'], '{path}', 'team/app/sub'],
    [['docker.io/acme/app'], 'fixed/app', 'fixed/other'],
    [['ghcr.io/acme/*'], 'acme/{rest}', 'acme/team/app'],
  ])('finds none for what %j with %s does not write to %s', (images, template, path) => {
    expect(writersOf(images, `m.example/${template}`, path)).toEqual([])
  })

  it('finds none if an earlier row decides for these images, or leaves them unchanged', () => {
    const hub = { images: ['docker.io/**'], try: ['m.example/{host}/{path}'] }
    const table = tableOf(
      ['m.example'],
      [
        { name: 'leave', images: ['docker.io/team/*'], leave: true },
        { name: 'hub', ...hub },
      ],
    )
    const findWriters = createFindWriters(table)

    expect(findWriters('m.example', 'docker.io/team/app')).toEqual([])
    expect(findWriters('m.example', 'docker.io/other/app')).toHaveLength(1)
  })
})
