import type { ImageSources } from '../manifests/image-uses.ts'
import { createUnreadFiles } from '../manifests/unread-files.ts'
import { connectOptions } from './connect-options.ts'
import { type Io, printMessage } from './io.ts'
import type { ImageSourceOptions } from './options.ts'

/** The manifests and pods whose images a verb is about. */
export function imageSources(options: ImageSourceOptions, io: Io): ImageSources {
  return {
    files: options.filename,
    recursive: options.recursive === true,
    stdin: io.stdin,
    namespace: options.namespace,
    cluster:
      options.fromCluster === true
        ? {
            ...connectOptions(options, io),
            allNamespaces: options.allNamespaces === true,
            signal: io.signal,
          }
        : null,
    onProblem: (message) => printMessage(io, message),
    unread: createUnreadFiles(),
  }
}
