// Updates the synopsis and the option tables in docs/cli.md. `npm test` fails if they are out of date.
import { readFileSync, writeFileSync } from 'node:fs'
import { updateReference } from '../src/cli/command-reference.ts'

const page = new URL('../docs/cli.md', import.meta.url)
writeFileSync(page, await updateReference(readFileSync(page, 'utf8')))
