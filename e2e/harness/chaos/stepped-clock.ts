/**
 * A wall clock that can be stepped in one process of Node.js. The kernel has one wall clock for all processes (time_namespaces(7)
 * covers only the others), so this replaces `Date` in JavaScript; OpenSSL keeps the real time.
 */

/** The signal that moves the clock of a process to the next of its offsets: an hour ahead, an hour behind, none. */
export const clockSignal = 'SIGUSR2'

/** How often the signal has to be sent until the clock is right again. */
export const clockSteps = 3

/** A module for `node --import`. */
export const clockModule = `const offsets = [0, 3600000, -3600000]
let steps = 0
const RealDate = Date
const now = () => RealDate.now() + offsets[steps % offsets.length]
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self),
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})
process.on('${clockSignal}', () => { steps += 1 })
`
