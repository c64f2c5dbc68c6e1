/** `npm run build`: writes Berth as the package and the image contain it. `node tools/build.ts [DIR]`; the default is dist. */
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle, programs } from './bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
await bundle(root, programs, resolve(process.argv[2] ?? join(root, 'dist')))
