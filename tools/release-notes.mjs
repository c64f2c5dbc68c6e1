// Prints the section of CHANGELOG.md for a version: node tools/release-notes.mjs 0.2.0
import { readFileSync } from 'node:fs'

const [version] = process.argv.slice(2)
const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8')
const sections = changelog.split(/^## /m).slice(1)
const section = sections.find((each) => each.startsWith(`[${version}] - `))
if (section === undefined) {
  console.error(`CHANGELOG.md has no section "## [${version}] - DATE"; add one before you tag`)
  process.exitCode = 1
} else {
  console.log(section.slice(section.indexOf('\n')).trim())
}
