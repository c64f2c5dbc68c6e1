/** Keeps credentials out of the messages about a config, and bounds their length. */
import { cutText } from '../text/cut-text.ts'

/** `user:password@` of a URL. The `@` of `nginx:1.29@sha256:…` is not one. */
const userInfo = /(?<![^\s"'`(/])[^\s"'`]*:[^\s"'`]*@(?!sha[0-9]{3}:)/g

/** Messages repeat names, hosts and patterns of a config. A message with a few usual ones is shorter. */
const maxLength = 1_000

/** Returns a message without the user and password of URLs, and at most 1,000 characters of it. */
export function redactText(message: string): string {
  if (message.length <= maxLength) return message.replaceAll(userInfo, '…@')
  // The cut may divide a password from its `@`.
  const start = cutText(message, maxLength).replace(/\S*:\S*(?=\.\.\. \(\d+ characters\)$)/, '…')
  return start.replaceAll(userInfo, '…@')
}

/** Returns the text of a config with `user:password@` of its URLs replaced, at its full length. */
export function redactSource(source: string): string {
  return source.replaceAll(userInfo, 'redacted:redacted@')
}

/** Returns the path of a file for a message: `…` for a text that may be the content of the file, such as a docker config. */
export function shownPath(path: string, resolved: string): string {
  return /^[\w./~+-]*[./][\w./~+-]*$/.test(path) ? resolved : '…'
}

/**
 * Returns a key for a message: `…` for a text that may be a password. Keys of the config are letters only. The keys of
 * `tags` are tags.
 */
export function shownKey(key: string, parent?: string | number): string {
  const known = parent === 'tags' ? /^\w[\w.-]{0,127}$/ : /^[A-Za-z_-]{1,63}$/
  return known.test(key) ? key : '…'
}
