// Writes webhook-config/berth.schema.json, which editors read; `npm test` compares it with what the code would make.
import { writeFileSync } from 'node:fs'
import { jsonSchema } from '../src/config/schema.ts'

writeFileSync(
  new URL('../webhook-config/berth.schema.json', import.meta.url),
  `${JSON.stringify(jsonSchema(), null, 2)}\n`,
)
