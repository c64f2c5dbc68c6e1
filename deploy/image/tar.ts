/** What an archive holds: regular files and directories, owned by root, with times of zero. */
export interface TarEntry {
  /** From the root, without the first slash: `app/bin/berth.js`. */
  readonly path: string
  readonly mode: number
  /** Null for a directory. */
  readonly content: Buffer | null
}

const block = 512

/** A tar archive with the same bytes for the same entries on every machine: sorted by path, each directory before what is in it. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const sorted = withDirectories(entries).toSorted((a, b) => (a.path < b.path ? -1 : 1))
  const parts = sorted.flatMap((entry) => {
    const content = entry.content ?? Buffer.alloc(0)
    return [header(entry), content, Buffer.alloc((block - (content.length % block)) % block)]
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

/** Adds the directories that the paths need and that are not given. */
function withDirectories(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map(entries.map((entry) => [entry.path, entry]))
  for (const { path } of entries) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const directory = path.slice(0, end)
      if (!all.has(directory)) all.set(directory, { path: directory, mode: 0o755, content: null })
    }
  }
  return [...all.values()]
}

/** POSIX.1-1988, ustar: a name of up to 100 bytes, and 155 more for the directories before it. */
function header({ path, mode, content }: TarEntry): Buffer {
  const bytes = Buffer.alloc(block)
  const [prefix, name] = split(content === null ? `${path}/` : path)
  bytes.write(name, 0)
  bytes.write(octal(mode, 7), 100)
  bytes.write(octal(0, 7), 108)
  bytes.write(octal(0, 7), 116)
  bytes.write(octal(content?.length ?? 0, 11), 124)
  bytes.write(octal(0, 11), 136)
  // The checksum counts its own field as spaces.
  bytes.write('        ', 148)
  bytes.write(content === null ? '5' : '0', 156)
  bytes.write('ustar\x0000', 257)
  bytes.write(prefix, 345)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${octal(sum, 6)}\0 `, 148)
  return bytes
}

function split(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path]
  const slash = path.indexOf('/', path.length - 101)
  const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)]
  if (slash < 0 || name === '' || Buffer.byteLength(prefix) > 155 || Buffer.byteLength(name) > 100)
    throw new Error(`${path} is too long for a tar header`)
  return [prefix, name]
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
