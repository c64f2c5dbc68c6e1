/** Returns a size such as `8.4 MB`, in powers of ten as registries and disks show sizes. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1_000 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${['B', 'kB', 'MB', 'GB', 'TB'][power]}`
}
