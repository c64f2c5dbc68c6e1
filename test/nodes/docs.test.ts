import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { configOf, filesFor } from './rendered-tables.ts'

const page = readFileSync(new URL('../../docs/nodes.md', import.meta.url), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map(
    ([, body = '']) => body,
  )
const withoutHeader = (text = '') => text.replace(/^(?:#.*\n)+\n/, '')

describe('docs/nodes.md', () => {
  const [table = '', k3s] = blocks('yaml')
  const config = configOf(table)

  it('shows the files that its table renders', () => {
    const files = filesFor(config, 'containerd')

    expect(Object.keys(files)).toHaveLength(3)
    expect(withoutHeader(files['certs.d/docker.io/hosts.toml'])).toBe(blocks('toml')[0])
    expect(withoutHeader(filesFor(config, 'k3s')['registries.yaml'])).toBe(k3s)
  })
})
