/** Builds releases of containerd from the Go proxy, once each. */
import { join } from 'node:path'
import { buildOnce } from './cached-build.ts'
import { runOk } from './command.ts'
import { cacheDirectory } from './paths.ts'

/** The release that scenarios run. */
export const newestContainerd = 'v2.4.2'

/** Returns the path of the program. A release takes minutes of processor time. */
export async function buildContainerd(version: string): Promise<string> {
  const program = join(cacheDirectory(), `containerd-${version}-${process.arch}`)
  await buildOnce(program, `building containerd ${version}`, async (partial) => {
    const module = `github.com/containerd/containerd${version.startsWith('v1.') ? '' : '/v2'}`
    const downloaded = await runOk('go', ['mod', 'download', '-json', `${module}@${version}`])
    const { Dir: directory } = JSON.parse(downloaded) as { Dir: string }
    // The snapshotters and tracing that need headers of C libraries are left out.
    const tags = 'no_btrfs no_devmapper no_zfs no_aufs'
    const flags = `-s -w -X ${module}/version.Version=${version}`
    // The published modules of some releases have a part of the vendor directory.
    const args = [
      'build',
      '-mod=readonly',
      '-trimpath',
      '-tags',
      tags,
      '-ldflags',
      flags,
      '-o',
      partial,
    ]
    await runOk('nice', ['go', ...args, './cmd/containerd'], {
      cwd: directory,
      env: { CGO_ENABLED: '0' },
    })
  })
  return program
}
