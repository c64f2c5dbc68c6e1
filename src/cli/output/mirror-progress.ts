/** Progress bars on a terminal: one for each image that is being copied, and one for all. */
import type { Writable } from 'node:stream'
import { MultiBar, type SingleBar } from 'cli-progress'
import { formatReference } from '../../decision/reference/reference.ts'
import type { ImagePair } from '../../mirror/image-pair.ts'
import type { ProgressListener } from '../../mirror/mirror-images.ts'
import { bytesText } from '../../text/units.ts'

export interface Progress extends Pick<ProgressListener, 'started' | 'planned' | 'moved'> {
  finished(pair: ImagePair): void
  stop(): void
}

/** Characters of an image's name that fit next to the bar on 80 columns. */
const nameLength = 32

const barFormat = '{name} {bar} {percentage}% {done} of {size}'
const totalFormat = '{name} {bar} {images} images, {done} of {size}, {rate}/s, {left} left'

/** Draws on `stream`, which has to be a terminal. `now` is in milliseconds. */
export function createProgress(stream: Writable, images: number, now: () => number): Progress {
  const began = now()
  const bars = new Map<ImagePair, { readonly bar: SingleBar; size: number; done: number }>()
  const multi = new MultiBar({
    stream,
    hideCursor: true,
    clearOnComplete: true,
    barsize: 20,
    format: barFormat,
    emptyOnZero: true,
    autopadding: true,
  })
  const total = { size: 0, done: 0, finished: 0 }
  const totalBar = multi.create(1, 0, totals(), { format: totalFormat })

  function totals(): object {
    const seconds = Math.max(0.1, (now() - began) / 1000)
    const rate = total.done / seconds
    return {
      name: 'all'.padEnd(nameLength),
      images: `${total.finished}/${images}`,
      done: bytesText(total.done),
      size: bytesText(total.size),
      rate: bytesText(Math.round(rate)),
      left: rate === 0 ? '–' : `${Math.ceil((total.size - total.done) / rate)} s`,
    }
  }
  const showTotal = () => {
    totalBar.setTotal(Math.max(1, total.size))
    totalBar.update(total.done, totals())
  }

  return {
    started(pair) {
      const name = formatReference(pair.source).slice(-nameLength).padEnd(nameLength)
      const bar = multi.create(1, 0, { name, done: '', size: '' })
      bars.set(pair, { bar, size: 0, done: 0 })
    },
    planned(pair, bytes) {
      const entry = bars.get(pair)
      if (entry === undefined) return
      total.size += bytes - entry.size
      entry.size = bytes
      entry.bar.setTotal(Math.max(1, bytes))
      entry.bar.update(entry.done, { done: bytesText(entry.done), size: bytesText(bytes) })
      showTotal()
    },
    moved(pair, bytes) {
      const entry = bars.get(pair)
      if (entry === undefined) return
      entry.done += bytes
      total.done += bytes
      entry.bar.update(entry.done, { done: bytesText(entry.done) })
      showTotal()
    },
    finished(pair) {
      const entry = bars.get(pair)
      if (entry !== undefined) multi.remove(entry.bar)
      total.finished += 1
      showTotal()
    },
    stop: () => multi.stop(),
  }
}
