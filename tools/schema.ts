// Writes webhook-config/berth.schema.json for editors. `npm test` fails if the file is out of date.
import { writeFileSync } from 'node:fs'
import { jsonSchema } from '../src/config/schema.ts'

writeFileSync(
  new URL('../webhook-config/berth.schema.json', import.meta.url),
  `${JSON.stringify(jsonSchema(), null, 2)}\n`,
)
