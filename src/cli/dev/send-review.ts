/** Sends an AdmissionReview to the webhook over HTTPS, as an API server does. */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { BerthError } from '../../errors.ts'

export interface SentReview {
  readonly review: unknown
  readonly answer: unknown
  readonly milliseconds: number
}

/** Returns the review and its answer. Throws `usage` if the file cannot be read, or the webhook rejects it. */
export async function sendReview(
  file: string,
  { port, ca }: { readonly port: number; readonly ca: string },
): Promise<SentReview> {
  const body = readReview(file)
  const agent = new Agent({ connect: { ca } })
  try {
    const started = performance.now()
    const response = await request(`https://localhost:${port}/mutate?timeout=5s`, {
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

function readReview(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'usage',
      `${file} cannot be read: ${code}; --review takes a file with an AdmissionReview`,
      { cause },
    )
  }
}
