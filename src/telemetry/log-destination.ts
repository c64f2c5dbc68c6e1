/** Writes log lines to a file descriptor, and survives a disk that is full and a reader that is slow or gone. */
import { writeSync } from 'node:fs'

export interface LogDestination {
  /** Queues a line, which ends with a line break. Never throws and never waits. */
  write(line: string): void
  /** Returns how many lines were lost since the start. */
  droppedLines(): number
}

/** Seven seconds of 1,000 admissions per second. New lines are dropped while this many bytes wait. */
const maxQueuedBytes = 4 * 1024 * 1024

/** The capacity of a pipe on Linux: a pipe cannot accept a larger write at once. */
const maxWriteBytes = 64 * 1024

/** The time between two attempts to write into a full pipe. */
const retryMs = 50

/** How long the end of the process waits for a reader that reads nothing. */
const exitPatienceMs = 200

/** Lines that are written together. */
interface Batch {
  readonly bytes: Buffer
  readonly lines: number
  written: number
}

/**
 * Creates a destination that gathers the lines of a turn of the event loop and writes them in batches, one in each turn. Writes
 * are synchronous, so that Berth knows at its exit which bytes are written. A pipe must be in non-blocking mode, which Node.js
 * sets for standard error: a write then never waits for the reader. `onRecovered` receives how many lines were lost, once
 * lines can be written again.
 */
export function createLogDestination(
  fd: number,
  onRecovered: (lostLines: number) => void = () => undefined,
): LogDestination {
  const queue = createLineQueue()
  let batch: Batch | null = null
  let isScheduled = false
  let dropped = 0
  let reported = 0
  /** True after a write failed within a line: the next batch then starts with a line break. */
  let isTorn = false

  function schedule(): void {
    isScheduled = true
    setImmediate(writeBatch)
  }

  function writeBatch(): void {
    isScheduled = false
    batch ??= queue.next(isTorn ? '\n' : '')
    if (batch === null) return
    const result = writePart(fd, batch)
    if (result === 'blocked') {
      isScheduled = true
      setTimeout(writeBatch, retryMs).unref()
      return
    }
    if (result === 'failed') {
      isTorn ||= batch.written > 0
      dropped += batch.lines
      batch = null
    } else if (batch.written === batch.bytes.length) {
      isTorn = false
      batch = null
    }
    schedule()
    if (result === 'failed' || batch !== null || dropped === reported) return
    onRecovered(dropped - reported)
    reported = dropped
  }

  function flush(): void {
    batch ??= queue.next(isTorn ? '\n' : '')
    while (batch !== null && writeNow(fd, batch)) batch = queue.next()
  }

  process.once('exit', flush)
  return {
    write: (line) => {
      if (!queue.add(line)) dropped += 1
      else if (!isScheduled) schedule()
    },
    droppedLines: () => dropped,
  }
}

/** Writes what the file descriptor accepts. */
function writePart(fd: number, batch: Batch): 'written' | 'blocked' | 'failed' {
  try {
    batch.written += writeSync(fd, batch.bytes, batch.written)
    return 'written'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 'blocked' : 'failed'
  }
}

interface LineQueue {
  /** Returns false if the queue is full. */
  add(line: string): boolean
  /** Removes the lines of the next batch; null if there are none. */
  next(prefix?: string): Batch | null
}

function createLineQueue(): LineQueue {
  let queue: { readonly line: string; readonly bytes: number }[] = []
  let queuedBytes = 0
  return {
    add: (line) => {
      const bytes = Buffer.byteLength(line)
      if (queuedBytes + bytes > maxQueuedBytes) return false
      queue.push({ line, bytes })
      queuedBytes += bytes
      return true
    },
    next: (prefix = '') => {
      if (queue.length === 0) return null
      let bytes = 0
      let lines = 0
      let text = prefix
      while (lines < queue.length && (lines === 0 || bytes < maxWriteBytes)) {
        const next = queue[lines++]
        bytes += next?.bytes ?? 0
        text += next?.line ?? ''
      }
      queue = lines === queue.length ? [] : queue.slice(lines)
      queuedBytes -= bytes
      return { bytes: Buffer.from(text), lines, written: 0 }
    },
  }
}

/** Returns false if the rest cannot be written in time. */
function writeNow(fd: number, batch: Batch): boolean {
  let waitedMs = 0
  while (batch.written < batch.bytes.length) {
    const result = writePart(fd, batch)
    if (result === 'written') waitedMs = 0
    else if (result === 'failed' || waitedMs >= exitPatienceMs) return false
    else {
      waitedMs += sleepMs
      Atomics.wait(sleepCell, 0, 0, sleepMs)
    }
  }
  return true
}

const sleepMs = 10
const sleepCell = new Int32Array(new SharedArrayBuffer(4))
