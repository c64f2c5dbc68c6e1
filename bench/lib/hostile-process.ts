/**
 * A process that sends the attacks of the soak test in turn until SIGTERM or for some rounds, and then prints the answers as
 * JSON. The last argument is a part of the names of the attacks to send.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type HostileTarget,
  largeValues,
  openMany,
  sendBody,
  sendUnfinished,
} from '../../test/support/hostile-requests.ts'
import { hostilePods } from './hostile-pods.ts'

/** How often each answer came, by attack. An answer is a status or `closed`. */
export type HostileTally = Record<string, Record<string, number>>

const [port, ca] = [Number(process.argv[2]), readFileSync(process.argv[3] ?? '', 'utf8')]
/** Pods come through the API server, connections from neighbours. */
const apiServer: HostileTarget = { port, ca, from: '127.0.0.1' }
const neighbours = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
const tally: HostileTally = {}
/** Each process makes up other images. */
const firstTurn = process.pid * 1_000
const holdMs = 3_000
const pauseMs = 100

function count(attack: string, answer: number | string | null): void {
  const answers = (tally[attack] ??= {})
  const key = String(answer ?? 'closed')
  answers[key] = (answers[key] ?? 0) + 1
}

/** Opens connections from all neighbours, starts a body on each if there is a size, and closes them after a while. */
async function flood(attack: string, total: number, unfinishedBytes: number | null): Promise<void> {
  const each = Math.ceil(total / neighbours.length)
  const sockets = await Promise.all(neighbours.map((from) => openMany({ port, ca, from }, each)))
  const open = sockets.flat()
  if (unfinishedBytes !== null)
    for (const socket of open) if (!socket.destroyed) sendUnfinished(socket, unfinishedBytes)
  await sleep(holdMs)
  for (const socket of open) {
    count(attack, socket.destroyed ? null : 'open until the end')
    socket.destroy()
  }
}

const all: readonly (readonly [name: string, attack: (turn: number) => Promise<void>])[] = [
  ...Object.entries(hostilePods).map(([name, make]) => {
    const attack = async (turn: number) => {
      const statuses = await Promise.all(
        make(firstTurn + turn).map((body) => sendBody(apiServer, body)),
      )
      for (const status of statuses) count(name, status)
    }
    return [name, attack] as const
  }),
  ...Object.entries(largeValues).map(([value, body]) => {
    const name = `8 MiB of ${value}`
    const attack = async () => {
      for (const from of neighbours) count(name, await sendBody({ port, ca, from }, body))
    }
    return [name, attack] as const
  }),
  ...Object.entries({ '4,096 idle connections': null, '1,150 unfinished bodies': 60_000 }).map(
    ([name, unfinishedBytes]) =>
      [
        name,
        () => flood(name, Number(name.split(' ')[0]?.replace(',', '')), unfinishedBytes),
      ] as const,
  ),
]
const attacks = all.filter(([name]) => name.includes(process.argv[5] ?? ''))
if (attacks.length === 0) throw new Error(`no attack has this in its name: ${process.argv[5]}`)

const rounds = Number(process.argv[4])
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
for (let turn = 0; turn < rounds && !stop.signal.aborted; turn++) {
  for (const [, attack] of attacks) {
    if (stop.signal.aborted) break
    await attack(turn)
    await sleep(pauseMs)
  }
}
await sleep(holdMs)
process.stdout.write(JSON.stringify(tally))
