import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { formatLock } from '../../src/lock/lock.ts'
import { berth } from '../support/io.ts'
import { digestA, digestB } from '../support/questions.ts'

/** What docs/repository.md says is held to what the commands do. */
const page = readFileSync(new URL('../../docs/repository.md', import.meta.url), 'utf8')
const anubis = fileURLToPath(new URL('../../webhook-config/examples/anubis.yaml', import.meta.url))

describe('the table of answers', () => {
  const rows = [...page.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| the same \|/gm)].map(
    ([, from = '', to = '']) => ({ from, to }),
  )

  it('is there', () => {
    expect(rows.length).toBeGreaterThan(3)
  })

  it.each(rows)(
    '$from becomes $to, decided for a pod and written into a manifest',
    async ({ from, to }) => {
      const options = ['--no-probe', '--config', anubis]
      const pod = `apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: '${from}' }] }\n`

      const explained = await berth(['explain', from, '-o', 'json', ...options])
      const rewritten = await berth(['rewrite', '-f', '-', '--images-only', ...options], pod)

      const [{ chosen, changed } = {}] = JSON.parse(explained.stdout) as {
        chosen?: string
        changed?: boolean
      }[]
      expect(changed === true ? chosen : from).toBe(to)
      expect(rewritten.stdout).toBe(pod.replace(from, to))
    },
  )
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
