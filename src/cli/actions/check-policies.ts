/** Compares a config with image verification policies, for `berth check --policies`. */
import type { Config } from '../../config/config.ts'
import { readImageUses } from '../../manifests/image-uses.ts'
import { findPolicyChanges } from '../../policies/policy-changes.ts'
import type { PolicyRule } from '../../policies/policy-rule.ts'
import { imageSources } from '../image-sources.ts'
import type { Io } from '../io.ts'
import type { ImageSourceOptions } from '../options.ts'
import type { PolicyReport } from '../output/policy-report.ts'
import { readPolicies } from '../read-policies.ts'

export interface CheckPoliciesOptions extends ImageSourceOptions {
  readonly policies: readonly string[]
}

/** Returns which images of the table, of manifests and of the cluster the policies no longer cover. */
export async function checkPolicies(
  config: Config,
  options: CheckPoliciesOptions,
  io: Io,
): Promise<PolicyReport> {
  const files = await readPolicies(options.policies, options, io)
  const rules = files.flatMap((file) => file.rules)
  const sources = imageSources(options, io)
  const images = await readImageUses(sources, config)
  sources.unread.throwInvalid()
  return reportPolicies(config, rules, images)
}

export function reportPolicies(
  config: Config,
  rules: readonly PolicyRule[],
  images: Parameters<typeof findPolicyChanges>[2],
): PolicyReport {
  const isVerifying = rules.some(({ action }) => action === 'verify')
  const hasMirrors = !config.table.mirrors.keys().next().done
  return {
    rules,
    ...findPolicyChanges(config, rules, images),
    needsReferrers: isVerifying && hasMirrors && !config.mirror.referrers,
  }
}
