/** Runs `berth policies render`: adds the globs of mirrored names to image verification policies. */
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import { readManifests } from '../../manifests/manifests.ts'
import { joinDocuments } from '../../manifests/rewrite-files.ts'
import type { PolicyFile } from '../../policies/policy-sources.ts'
import { readPolicies as readRules } from '../../policies/read-policies.ts'
import type { PolicyRule } from '../../policies/policy-rule.ts'
import { isWeaker, renderPolicies } from '../../policies/render-policies.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printFile } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { isGap, policyLines } from '../output/policy-report.ts'
import { readPolicies } from '../read-policies.ts'
import { reportPolicies } from './check-policies.ts'

export interface PoliciesRenderOptions extends ConnectionOptions {
  readonly config?: string
  readonly policies: readonly string[]
  readonly recursive?: boolean
  readonly output: 'yaml'
}

/** Returns 0; 1 if an image is still not covered under its new name. */
export async function policiesRender(options: PoliciesRenderOptions, io: Io): Promise<number> {
  const config = loadConfig(findConfigFile(options.config))
  const files = await readPolicies(options.policies, options, io)
  if (files.length === 0)
    throw new BerthError('manifest-invalid', `no policies found in ${options.policies.join(', ')}`)
  const rendered = files.map((file) => renderFile(config, file))
  printFile(io.stdout, joinDocuments(rendered.map(({ manifests }) => manifests.text)))
  const report = reportPolicies(
    config,
    rendered.flatMap(({ rules }) => rules),
    [],
  )
  for (const line of policyLines(report)) print(io.stderr, line)
  return report.changes.some(isGap) ? 1 : 0
}

/** A glob for a new name may have a tag, and so needs another one for images that get a digest. */
const maxPasses = 3

/** Renders again without the globs that make a rule weaker: a gap that is reported is better. */
function renderFile(config: Config, file: PolicyFile): PolicyFile {
  const weaker = new Set<number>()
  for (;;) {
    const rendered = renderPasses(config, file, weaker)
    const found = reportPolicies(config, rendered.rules, []).changes.flatMap((change) => {
      const index = rendered.rules.indexOf(change.rule)
      const before = file.rules[index]
      return before !== undefined && !weaker.has(index) && isWeaker(change, before) ? [index] : []
    })
    if (found.length === 0) return rendered
    for (const index of found) weaker.add(index)
  }
}

function renderPasses(config: Config, file: PolicyFile, weaker: ReadonlySet<number>): PolicyFile {
  let current = file
  for (let pass = 0; pass < maxPasses; pass += 1) {
    const { manifests, rules: rulesNow } = current
    const { changes } = reportPolicies(config, rulesNow, [])
    const mayPermit = (rule: PolicyRule) => !weaker.has(rulesNow.indexOf(rule))
    const text = renderPolicies(manifests, config.table.rows, changes, mayPermit)
    const read = text === null ? null : readManifests(text)
    if (read === null || !read.ok)
      throw new BerthError(
        'manifest-invalid',
        `${file.name}: the globs cannot be added without changing anything else; add them to the policy by hand`,
      )
    if (text === manifests.text) break
    const { rules } = readRules(read.manifests, file.name)
    current = { name: file.name, manifests: read.manifests, rules }
  }
  return current
}
