// Writes deploy/chart/README.md from the comments of values.yaml. `npm test` fails if the file is out of date.
import { readFileSync, writeFileSync } from 'node:fs'
import { chartReadme } from '../deploy/chart-readme.ts'

const values = readFileSync(new URL('../deploy/chart/values.yaml', import.meta.url), 'utf8')
writeFileSync(new URL('../deploy/chart/README.md', import.meta.url), chartReadme(values))
