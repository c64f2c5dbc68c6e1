import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { formatLock } from '../../src/decision/lock/lock-text.ts'
import { namedImage, nodeRoute } from '../../src/nodes/read/node-route.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import { berth } from '../support/io.ts'
import { digestA, digestB } from '../support/manifest-answers.ts'

/** Runs the examples of docs/repository.md. */
const page = readFileSync(new URL('../../docs/repository.md', import.meta.url), 'utf8')
const anubis = fileURLToPath(new URL('../../webhook-config/examples/anubis.yaml', import.meta.url))

/** The page uses the config of the example, and no registry. */
const options = ['--config', anubis]

/** The URL that containerd tries first for an image, with the files of `berth nodes render`. */
async function firstNodeUrl(image: string): Promise<string | undefined> {
  const target = ['--target', 'containerd', '--allow-partial', '-o', 'json']
  const rendered = await berth(['nodes', 'render', ...target, ...options])
  const { files } = JSON.parse(rendered.stdout) as { files: { path: string; content: string }[] }
  const tree = new Map(files.map(({ path, content }) => [basename(dirname(path)), content]))
  const parsed = parseReference(image)
  return parsed.ok
    ? nodeRoute({ kind: 'containerd', trees: [tree], fault: null }, namedImage(parsed.reference))[0]
    : undefined
}

describe('the table of images', () => {
  const rows = [...page.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| the same \| `([^`]+)` \|$/gm)].map(
    ([, from = '', to = '', first = '']) => ({ from, to, first }),
  )

  it('has rows', () => {
    expect(rows.length).toBeGreaterThan(3)
  })

  it.each(rows)('maps $from to $to, in explain and in rewrite', async ({ from, to }) => {
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
  })

  it.each(rows)('sends a node to $first for $from and for $to', async ({ from, to, first }) => {
    expect(await firstNodeUrl(from)).toBe(first)
    expect(await firstNodeUrl(to)).toBe(first)
  })
})

it('has a Renovate expression that matches every entry of a lock file', () => {
  const [json = ''] = page.split('```json\n').slice(1)
  const config = JSON.parse(json.split('```')[0] ?? '') as {
    customManagers: { matchStrings: string[] }[]
  }
  const expression = new RegExp(config.customManagers[0]?.matchStrings[0] ?? '', 'g')
  const entry = { from: 'anubis:32000', date: '2026-11-21' }
  const lock = formatLock(
    new Map([
      ['a', { ...entry, image: 'docker.io/library/nginx:1.29', digest: digestA }],
      ['b', { ...entry, image: 'anubis:32000/acme/app:v1.0-rc_1', digest: digestB }],
    ]),
  )

  const found = [...lock.matchAll(expression)].map(({ groups }) => ({ ...groups }))

  expect(found).toEqual([
    { depName: 'anubis:32000/acme/app', currentValue: 'v1.0-rc_1', currentDigest: digestB },
    { depName: 'docker.io/library/nginx', currentValue: '1.29', currentDigest: digestA },
  ])
})
