/** Returns a text as a regular expression that matches it. Node.js 22 does not have RegExp.escape. */
export function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)
}
