/** Limits how many requests, bytes of large bodies, and bytes of parsed reviews the server holds at the same time. */

export interface ConcurrencyLimit {
  /** Counts a request from the address of its caller; null when there are too many. */
  begin(caller: string): RequestSlot | null
  /** Milliseconds since the last request began. */
  quietForMs(): number
  /** Returns the current usage. */
  inFlight(): Usage
}

/** The slot of one request. */
export interface RequestSlot {
  /** Replaces the bytes that count for this request. Returns false if there are too many. */
  use(kind: 'bodyBytes' | 'parsedBytes', bytes: number): boolean
  /** Counts bytes of a review that is already parsed, even above the limit. */
  charge(parsedBytes: number): void
  /** False while parsed reviews take more than the limit. */
  hasMemory(): boolean
  /** The whole body has arrived: the request no longer makes room for others. */
  bodyArrived(): void
  /** Called when another request gets the slot, because the body of this one is late. */
  onAbort: () => void
  /** May be called more than once. */
  end(): void
}

export interface Usage {
  requests: number
  bodyBytes: number
  parsedBytes: number
}

/** Smaller bodies do not count as `bodyBytes`: with the maximum of requests, they take 25 MiB. */
export const largeBytes = 32 * 1024

/**
 * With 384 MiB for the container, half of it for the heap. An API server has 200 mutating requests in flight by default, so
 * there is room for four. Bodies are outside the heap. Parsed reviews may take half of the heap.
 */
const limits: Readonly<Usage> = {
  requests: 800,
  bodyBytes: 32 * 1024 * 1024,
  parsedBytes: 96 * 1024 * 1024,
}

/** The share of one caller. Large, because all API servers may have one address (konnectivity), which no one else has. */
const callerShare = 0.75

/** The body of an API server arrives within milliseconds. */
const lateMs = 1_000

interface Slot extends RequestSlot {
  readonly caller: string
  /** What all requests of the caller use. */
  readonly callerUsage: Usage
  readonly since: number
  readonly usage: Usage
}

const doNothing = () => undefined

const none = (): Usage => ({ requests: 0, bodyBytes: 0, parsedBytes: 0 })

/** Counts what the requests use, in total and for each caller. */
function createCounters() {
  const total = none()
  const callers = new Map<string, Usage>()

  function add({ usage, callerUsage }: Slot, kind: keyof Usage, amount: number): void {
    total[kind] += amount
    callerUsage[kind] += amount
    usage[kind] += amount
  }

  return {
    total,
    add,
    usageOf: (caller: string): Usage => callers.get(caller) ?? none(),
    addRequest: (slot: Slot): void => {
      add(slot, 'requests', 1)
      callers.set(slot.caller, slot.callerUsage)
    },
    remove: (slot: Slot): void => {
      const { usage, callerUsage, caller } = slot
      add(slot, 'requests', -usage.requests)
      if (usage.bodyBytes !== 0) add(slot, 'bodyBytes', -usage.bodyBytes)
      if (usage.parsedBytes !== 0) add(slot, 'parsedBytes', -usage.parsedBytes)
      if (callerUsage.requests === 0) callers.delete(caller)
    },
    /** Returns which limit has no room for more; null if there is room. */
    fullLimit: (
      { callerUsage }: Pick<Slot, 'callerUsage'>,
      kind: keyof Usage,
      amount: number,
    ): 'caller' | 'total' | null => {
      if (callerUsage[kind] + amount > limits[kind] * callerShare) return 'caller'
      return total[kind] + amount > limits[kind] ? 'total' : null
    },
  }
}

/**
 * Creates the limit of one server. Only bytes that have arrived count, so announcing a large body takes nothing from others.
 * At a limit, the oldest request whose body has not arrived makes room, first that of the caller that uses most.
 */
export function createConcurrencyLimit(now: () => number): ConcurrencyLimit {
  const { total, usageOf, add, addRequest, remove, fullLimit } = createCounters()
  /** The requests whose bodies have not arrived, oldest first. */
  const unfinished = new Set<Slot>()
  let lastBegin = now()

  function end(slot: Slot): void {
    if (slot.usage.requests === 0) return
    unfinished.delete(slot)
    remove(slot)
  }

  /** Makes room for more that a request uses. Returns false if others cannot make enough. */
  function makeRoom(slot: Slot, kind: keyof Usage, amount: number): boolean {
    for (;;) {
      const full = fullLimit(slot, kind, amount)
      if (full === null) return true
      const victim = findVictim(slot, kind, full)
      if (victim === undefined) return false
      end(victim)
      victim.onAbort()
    }
  }

  /** Requests of the same caller, or of one that uses less, make room only when they are late. */
  function findVictim(slot: Slot, kind: keyof Usage, full: 'caller' | 'total'): Slot | undefined {
    const mine = slot.callerUsage[kind]
    let victim: Slot | undefined
    for (const each of unfinished) {
      if (each === slot) continue
      const isMine = each.caller === slot.caller
      if (each.usage[kind] === 0 || (full === 'caller' && !isMine)) continue
      const used = each.callerUsage[kind]
      const isLate = now() - each.since >= lateMs
      if (!isLate && (isMine || used <= mine)) continue
      if (victim === undefined || used > victim.callerUsage[kind]) victim = each
    }
    return victim
  }

  function createSlot(caller: string): Slot {
    const slot: Slot = {
      caller,
      callerUsage: usageOf(caller),
      since: now(),
      usage: none(),
      use: (kind, bytes) => {
        if (slot.usage.requests === 0) return false
        const more = bytes - slot.usage[kind]
        if (more > 0 && !makeRoom(slot, kind, more)) return false
        add(slot, kind, more)
        return true
      },
      charge: (parsedBytes) => {
        if (slot.usage.requests > 0) add(slot, 'parsedBytes', parsedBytes)
      },
      hasMemory: () => fullLimit(slot, 'parsedBytes', 0) === null,
      bodyArrived: () => unfinished.delete(slot),
      onAbort: doNothing,
      end: () => end(slot),
    }
    return slot
  }

  return {
    begin: (caller) => {
      lastBegin = now()
      const slot = createSlot(caller)
      if (!makeRoom(slot, 'requests', 1)) return null
      addRequest(slot)
      unfinished.add(slot)
      return slot
    },
    quietForMs: () => now() - lastBegin,
    inFlight: () => ({ ...total }),
  }
}
