/** Sends an AdmissionReview to the webhook over HTTPS, as an API server does. */
import { Agent, request } from 'undici'
import { BerthError } from '../../errors.ts'
import type { ReviewText } from './read-review.ts'

export interface SentReview {
  readonly review: unknown
  readonly answer: unknown
  readonly milliseconds: number
}

/** Returns the answer to a review, which `file` names in messages. Throws `usage` if the webhook rejects it. */
export async function sendReview(
  { file, body }: ReviewText,
  { port, ca }: { readonly port: number; readonly ca: string },
): Promise<SentReview> {
  const agent = new Agent({ connect: { ca } })
  try {
    const started = performance.now()
    const response = await request(`https://127.0.0.1:${port}/mutate?timeout=5s`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      dispatcher: agent,
    })
    const answer = await response.body.text()
    if (response.statusCode !== 200) throw new BerthError('usage', `${file}: ${answer.trim()}`)
    return {
      review: JSON.parse(body),
      answer: JSON.parse(answer),
      milliseconds: performance.now() - started,
    }
  } finally {
    await agent.close()
  }
}
