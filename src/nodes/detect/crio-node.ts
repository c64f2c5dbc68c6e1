/** Reads the files that CRI-O reads for registries. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { lt, type SemVer } from 'semver'
import { readRegistriesConf } from '../read/registries-conf.ts'
import type { RuntimeFile } from '../read/runtime-file.ts'
import { shortNameMode, shortNameProblem } from '../read/short-names.ts'
import type { LocalNode } from './local-node.ts'

/** The first CRI-O that refuses a short name with more than one search registry (cri-o#9401). */
const firstEnforcing = '1.34.0'

/** `directory` has registries.conf; crio.conf is below `root`. `version`: null if it is not known. */
export function inspectCrio(root: string, directory: string, version: SemVer | null): LocalNode {
  const files = readWithDropIns(directory, 'registries.conf')
  const conf = readRegistriesConf(files)
  const mode = shortNameMode(readWithDropIns(join(root, '/etc/crio'), 'crio.conf'))
  const isOld = version !== null && lt(version, firstEnforcing)
  const refusesAmbiguous = !isOld && mode !== 'disabled'
  const fault = conf.fault === null ? [] : [`${conf.fault}; every pull fails until it is fixed`]
  const shortNames = shortNameProblem(conf.shortNames, refusesAmbiguous)
  return {
    target: 'crio',
    files: files.map(({ name }) => name),
    state: { kind: 'crio', conf, refusesAmbiguous },
    findings: [...fault, ...conf.findings, ...(shortNames === null ? [] : [shortNames])],
  }
}

/** Returns the file and its drop-ins, in the order in which they are read. */
function readWithDropIns(directory: string, name: string): RuntimeFile[] {
  const dropIns = globSync(join(directory, `${name}.d/*`)).sort((a, b) =>
    basename(a) < basename(b) ? -1 : 1,
  )
  const isRead = (file: string) => name !== 'registries.conf' || file.endsWith('.conf')
  return [join(directory, name), ...dropIns.filter(isRead)]
    .filter((file) => existsSync(file))
    .map((file) => ({ name: file, text: readFileSync(file, 'utf8') }))
}
