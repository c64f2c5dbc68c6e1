/** Which pods a config treats alike. */
import { testCondition } from '../decision/fallback/pod-condition.ts'
import { tablePodKey } from '../decision/fallback/table.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import type { Config } from './config.ts'

/** Returns a text that is the same for pods that meet the same conditions of a config. */
export function podKey(
  {
    table,
    pin,
    pullPolicy,
    pullSecrets,
  }: Pick<Config, 'table' | 'pin' | 'pullPolicy' | 'pullSecrets'>,
  pod: PodContext,
): string {
  const results = [pin, ...pullPolicy, ...pullSecrets].map(({ when }) => testCondition(when, pod))
  return [tablePodKey(table, pod), ...results].join(' ')
}
