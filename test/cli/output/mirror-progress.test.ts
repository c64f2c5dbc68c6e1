import { expect, it } from 'vitest'
import { createProgress } from '../../../src/cli/output/mirror-progress.ts'
import { terminal } from '../../support/io.ts'
import { pair } from '../../support/mirroring.ts'

it('shows how much of all images has been copied, and restores the cursor', () => {
  const stream = terminal()
  const chunks: string[] = []
  const write = stream.write.bind(stream)
  stream.write = (chunk: unknown) => {
    chunks.push(String(chunk))
    return write(chunk)
  }
  const given = pair('quay.io/freeipa/freeipa-server:1', 'm.b/freeipa-server:1')
  const progress = createProgress(stream, 2, () => 0)
  progress.started(given)
  progress.planned(given, 2_000)
  progress.moved(given, 1_000)
  progress.finished(given)
  progress.stop()
  const text = chunks.join('')

  expect(text).toContain('0/2 images, 1.0 kB of 2.0 kB')
  expect(text.lastIndexOf('[?25h')).toBeGreaterThan(text.lastIndexOf('[?25l'))
})
