/** Waits until a started server has answered a review correctly. */
import { readFileSync } from 'node:fs'
import { untilAnswered } from './first-response.ts'
import type { Started } from './process.ts'
import { type BenchReview, benchReviews } from './reviews.ts'
import { rewrittenImages, type Server } from './servers.ts'
import type { Workspace } from './workspace.ts'

export type Running = Server & { readonly process: Started }

/** Throws if the server exits instead. */
export async function waitUntilAnswered({ ca }: Workspace, server: Running): Promise<void> {
  const { port, path, mirror, process } = server
  const [smallest] = benchReviews() as [BenchReview]
  await untilAnswered({
    port,
    ca: readFileSync(ca, 'utf8'),
    body: smallest.body,
    images: rewrittenImages(server, 1),
    path,
    mirror,
    stopReason: process.end,
  })
}
