/**
 * `npm run oracle:node-config`: writes test/fixtures/nodes, which is the rendered files of each table and what the container
 * runtimes' loaders read from them. Needs Go.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { handMade, keyOf } from '../../../test/nodes/read/loader-cases.ts'
import { renderedCases, renderedFiles, talosCases } from '../../../test/nodes/rendered-tables.ts'
import { runNodeConfigLoaders } from './loaders.ts'

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../../test/fixtures/nodes/${name}.json`, import.meta.url))
const write = (name: string, content: object) =>
  writeFileSync(fixture(name), `${JSON.stringify(content, null, 2)}\n`)

const cases = [...handMade, ...renderedCases(), ...talosCases()]
const answers = runNodeConfigLoaders(cases)
write('files', renderedFiles())
write('loaders', Object.fromEntries(cases.map((each, index) => [keyOf(each), answers[index]])))
console.log(`wrote ${cases.length} answers`)
