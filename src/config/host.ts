/** Recognizes the host of a registry. */

/** A name or an IPv4 address, or an IPv6 address in brackets, and a port. */
const hostPattern = /^(?:\w(?:[\w.-]*\w)?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i

/** A text that is not a host may be a password, and messages must not repeat it. */
export function isHost(text: string): boolean {
  return hostPattern.test(text) && URL.canParse(`https://${text}`)
}
