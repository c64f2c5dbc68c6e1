/** Work that is synchronous when possible: a promise costs a turn of the event loop, and most reviews need none. */

/** A value, or a promise of it. */
export type MaybePromise<Value> = Value | Promise<Value>

/** Maps a value now, or a promise when it resolves. */
export function mapMaybe<Value, Next>(
  value: MaybePromise<Value>,
  map: (value: Value) => MaybePromise<Next>,
): MaybePromise<Next> {
  return value instanceof Promise ? value.then(map) : map(value)
}
