import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilAnswered } from '../../bench/lib/first-response.ts'
import { peerServer } from '../../bench/lib/peer.ts'
import { startAnywhere } from '../../bench/lib/process.ts'
import { makeReview } from '../../bench/lib/reviews.ts'
import { waitUntilAnswered } from '../../bench/lib/wait-until-answered.ts'
import { makeWorkspace, repository, type Workspace } from '../../bench/lib/workspace.ts'

let workspace: Workspace
let directory: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-peer-'))
  workspace = await makeWorkspace()
})

afterAll(() => {
  workspace.remove()
  rmSync(directory, { recursive: true })
})

function define(definition: object | string): string {
  const file = join(directory, 'peer.json')
  const text = typeof definition === 'string' ? definition : JSON.stringify(definition)
  writeFileSync(file, text)
  return file
}

/** A webhook that rewrites the first image of each pod. */
const example = {
  name: 'example',
  command: process.execPath,
  args: [join(repository, 'bench/servers/bare-node.ts'), '{port}', '{cert}', '{key}'],
  rewrites: 'one',
}

async function start(definition: object) {
  const server = await peerServer(define(definition), workspace, 'http://127.0.0.1:1')
  return { ...server, process: startAnywhere(server.program) }
}

describe('a peer', () => {
  it('answers reviews, with its port, certificate and key', async () => {
    const server = await start(example)
    try {
      await expect(waitUntilAnswered(workspace, server)).resolves.toBeUndefined()
    } finally {
      await server.process.stop()
    }
  })

  it('fails the run if its images do not begin with its mirror, or if it rewrites too few', async () => {
    const server = await start({ ...example, rewrites: 'all', mirror: 'other.example' })
    const { body } = makeReview('', 2, 0)
    const ask = (mirror: string, images: number) =>
      untilAnswered({
        port: server.port,
        ca: readFileSync(workspace.ca, 'utf8'),
        body,
        images,
        mirror,
        stopReason: server.process.end,
      })
    try {
      await expect(waitUntilAnswered(workspace, server)).rejects.toThrow('rewrites 0 images')
      await expect(ask('mirror.bench:5000', 2)).rejects.toThrow('rewrites 1 images instead of 2')
      await ask('mirror.bench:5000', 1)
    } finally {
      await server.process.stop()
    }
  })

  it('is a program next to its definition, or in the PATH', async () => {
    const nextToIt = define({
      name: 'a',
      command: './bin/a',
      args: ['{here}', '{registry}', '{x}'],
    })
    const { program } = await peerServer(nextToIt, workspace, 'http://r')
    const inPath = await peerServer(define({ name: 'a', command: 'a' }), workspace, 'http://r')

    expect(program).toEqual({
      command: join(directory, 'bin/a'),
      args: [directory, 'http://r', '{x}'],
    })
    expect(inPath.program.command).toBe('a')
  })

  it.each([
    ['is not JSON', '{', /Unexpected|Expected/],
    ['has no name', { command: 'a' }, /name/],
    ['has an unknown key', { ...example, port: 1 }, /port/],
    ['has a path without a slash', { ...example, path: 'mutate' }, /path/],
  ])('is refused if its definition %s', async (_, definition, reason) => {
    const file = define(definition)
    const refused = peerServer(file, workspace, 'http://r')

    await expect(refused).rejects.toThrow(`${file} does not define a peer (see bench/README.md)`)
    await expect(refused).rejects.toThrow(reason)
  })
})
