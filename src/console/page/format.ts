/** Formats numbers and times for people. Pure. */

export function percent(part: number, whole: number): string {
  if (whole === 0) return '–'
  const share = (100 * part) / whole
  // 99.9 % is not all of them.
  const rounded = part < whole ? Math.min(99, Math.round(share)) : 100
  return `${part > 0 ? Math.max(1, rounded) : 0}%`
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** Returns how long ago a time was: `12 s`, `3 min`, `2 h`, `5 d`. */
export function age(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800
    ? `${Math.round(seconds / 3_600)} h`
    : `${Math.round(seconds / 86_400)} d`
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB')
}

/** Shortens a digest: `sha256:1f2e3d4c5b6a…`. */
export function shortDigest(text: string): string {
  return text.replace(/sha256:([0-9a-f]{12})[0-9a-f]{52}/g, 'sha256:$1…')
}
