/** Returns a size such as `8.4 MB`, in powers of ten as registries and disks show sizes. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1_000 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${['B', 'kB', 'MB', 'GB', 'TB'][power]}`
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Returns the milliseconds of a duration such as `48h`: digits, then s, m, h, d or w. The caller checks the form. */
export function durationMs(text: string): number {
  return Number.parseInt(text, 10) * unitMs[text.slice(-1) as keyof typeof unitMs]
}

/** Returns a duration such as `48 h`, rounded down to a unit of which it has at least two. */
export function durationText(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`
  const hours = Math.floor(seconds / 3_600)
  return hours < 72 ? `${hours} h` : `${Math.floor(hours / 24)} d`
}
