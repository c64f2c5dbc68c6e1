/** The calls of Berth that failed open, as the API server counts them since its start. */
import { kubectlOk } from './kubectl.ts'

/** Returns how many calls of Berth failed, by the API server's own count, for which it created the pod unchanged. */
export async function failOpenCount(): Promise<number> {
  const text = await kubectlOk(['get', '--raw', '/metrics'])
  const counts = text.matchAll(
    /^apiserver_admission_webhook_fail_open_count\{name="mutate\.berth\.dev"[^}]*\} (\S+)$/gm,
  )
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}
