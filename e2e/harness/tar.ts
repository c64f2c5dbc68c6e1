/** A file of an image: its content and whether it can be executed. */
export type TarFile = { path: string; content: Buffer; executable: boolean }

const block = 512

/** A tar archive of plain files, the same bytes for the same files on every machine: times and owners are zero. */
export function tarOf(files: readonly TarFile[]): Buffer {
  const parts = files.flatMap((file) => [
    header(file),
    file.content,
    Buffer.alloc((block - (file.content.length % block)) % block),
  ])
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

function header({ path, content, executable }: TarFile): Buffer {
  const bytes = Buffer.alloc(block)
  bytes.write(path.replace(/^\//, ''), 0, 100)
  bytes.write(octal(executable ? 0o755 : 0o644, 7), 100)
  bytes.write(octal(0, 7), 108)
  bytes.write(octal(0, 7), 116)
  bytes.write(octal(content.length, 11), 124)
  bytes.write(octal(0, 11), 136)
  // The checksum counts its own field as spaces.
  bytes.write('        ', 148)
  bytes.write('0', 156)
  bytes.write('ustar\x0000', 257)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${octal(sum, 6)}\0 `, 148)
  return bytes
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
