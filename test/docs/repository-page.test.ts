import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { formatLock } from '../../src/decision/lock/image-lock.ts'
import { nodeRoute } from '../../src/nodes/runtimes/node-route.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import { berth } from '../support/io.ts'
import { digestA, digestB } from '../support/manifest-answers.ts'

/** What docs/repository.md says is held to what the commands do. */
const page = readFileSync(new URL('../../docs/repository.md', import.meta.url), 'utf8')
const anubis = fileURLToPath(new URL('../../webhook-config/examples/anubis.yaml', import.meta.url))

/** The page's own words: the example's configuration, without a registry. */
const options = ['--config', anubis]

/** What a node's containerd asks first for an image, by the files that are written for it. */
async function nodeAsksFirst(image: string): Promise<string | undefined> {
  const target = ['--target', 'containerd', '--allow-partial', '-o', 'json']
  const rendered = await berth(['nodes', 'render', ...target, ...options])
  const { files } = JSON.parse(rendered.stdout) as { files: { path: string; content: string }[] }
  const tree = new Map(files.map(({ path, content }) => [basename(dirname(path)), content]))
  const parsed = parseReference(image)
  return parsed.ok
    ? nodeRoute({ kind: 'containerd', trees: [tree] }, parsed.reference)[0]
    : undefined
}

describe('the table of answers', () => {
  const rows = [...page.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| the same \| `([^`]+)` \|$/gm)].map(
    ([, from = '', to = '', first = '']) => ({ from, to, first }),
  )

  it('is there', () => {
    expect(rows.length).toBeGreaterThan(3)
  })

  it.each(rows)(
    '$from becomes $to, decided for a pod and written into a manifest',
    async ({ from, to }) => {
      const pod = `apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: '${from}' }] }\n`

      const explained = await berth(['explain', from, '-o', 'json', '--no-probe', ...options])
      const rewritten = await berth(
        ['rewrite', '-f', '-', '--images-only', '--no-probe', ...options],
        pod,
      )

      const [{ chosen, changed } = {}] = JSON.parse(explained.stdout) as {
        chosen?: string
        changed?: boolean
      }[]
      expect(changed === true ? chosen : from).toBe(to)
      expect(rewritten.stdout).toBe(pod.replace(from, to))
    },
  )

  it.each(rows)('$from leads a node to $first, and so does $to', async ({ from, to, first }) => {
    expect(await nodeAsksFirst(from)).toBe(first)
    expect(await nodeAsksFirst(to)).toBe(first)
  })
})

it("Renovate's expression finds every entry of a lock file", () => {
  const [json = ''] = page.split('```json\n').slice(1)
  const config = JSON.parse(json.split('```')[0] ?? '') as {
    customManagers: { matchStrings: string[] }[]
  }
  const expression = new RegExp(config.customManagers[0]?.matchStrings[0] ?? '', 'g')
  const entry = { from: 'anubis:32000', date: '2026-11-21' }
  const lock = formatLock(
    new Map([
      ['a', { ...entry, image: 'docker.io/library/nginx:1.29', digest: digestA }],
      ['b', { ...entry, image: 'anubis:32000/house/app:v1.0-rc_1', digest: digestB }],
    ]),
  )

  const found = [...lock.matchAll(expression)].map(({ groups }) => ({ ...groups }))

  expect(found).toEqual([
    { depName: 'anubis:32000/house/app', currentValue: 'v1.0-rc_1', currentDigest: digestB },
    { depName: 'docker.io/library/nginx', currentValue: '1.29', currentDigest: digestA },
  ])
})
