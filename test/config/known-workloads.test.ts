import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { knownWorkloadsSchema } from '../../src/config/schema/known-workloads-schema.ts'

const projects = knownWorkloadsSchema.parse(
  parse(
    readFileSync(new URL('../../webhook-config/known-workloads.yaml', import.meta.url), 'utf8'),
  ),
)

function pageRow({ project, source, kinds }: (typeof projects)[number]): string {
  return `| [${project}](${source}) | ${kinds.map(({ kind }) => `\`${kind}\``).join(', ')} |`
}

describe('known-workloads.yaml', () => {
  it('names each kind once, with at least one path', () => {
    const kinds = projects.flatMap((project) => project.kinds)

    expect(new Set(kinds.map(({ kind }) => kind)).size).toBe(kinds.length)
    expect(kinds.filter(({ pods, images }) => pods.length + images.length === 0)).toEqual([])
  })

  it('is the table of docs/custom-resources.md', () => {
    const page = readFileSync(new URL('../../docs/custom-resources.md', import.meta.url), 'utf8')
    const rows = page.split('\n').filter((line) => line.startsWith('| ['))

    expect(rows).toEqual(projects.map(pageRow))
  })
})
