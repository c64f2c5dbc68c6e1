/** Reads the `pullSecrets` rules of the config. */
import { createKeyMatcher, isUsableKey } from '../credentials/docker-config-keys.ts'
import { hubHost } from '../decision/fallback/registry-aliases.ts'
import type { Config } from './config.ts'
import { isHost } from './host.ts'
import type { ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'
import { readWhen } from './when.ts'

/** Returns the rules. Reports registries that no kubelet would match with an image. */
export function readPullSecrets(
  inputs: ConfigInput['pullSecrets'],
  report: ReportProblem,
): Config['pullSecrets'] {
  return inputs.map(({ registries: keys, secret, when }, index) => {
    for (const [position, key] of keys.entries()) {
      const message = keyProblem(key)
      if (message !== null) report('error', ['pullSecrets', index, 'registries', position], message)
    }
    const findKeys = createKeyMatcher(keys)
    return {
      secret,
      when: readWhen(when, ['pullSecrets', index, 'when'], report),
      matches: ({ domain, path }) => findKeys(domain, path).length > 0,
    }
  })
}

function keyProblem(key: string): string | null {
  const [host = ''] = key.replace(/^https?:\/\//, '').split('/', 1)
  if (!isHost(host.replaceAll('*', 'a')) || !isUsableKey(key))
    return '… is not a registry; write HOST, HOST:PORT or HOST/PATH'
  if (hubHost(host) !== host && host !== 'index.docker.io')
    return `kubelets do not use the key ${host} for Docker Hub; write ${hubHost(host)}`
  return /[.:*]/.test(host) || host === 'localhost'
    ? null
    : `${host} has neither a dot nor a port, so it is not the host of any image; write ${host}:PORT`
}
