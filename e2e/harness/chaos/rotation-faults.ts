/** Changes while Berth runs: of its config and its certificates. */
import { X509Certificate } from 'node:crypto'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { getJson, kubectlOk } from '../kubectl.ts'
import { namespace } from '../overlay.ts'
import { waitFor } from '../wait.ts'
import { processesOf } from './berth-process.ts'
import type { Fault } from './fault.ts'
import { metricsOf, valueOf } from './memory.ts'

const certificateSecret = 'berth-own-certificate'

/** Whether every replica that answers has accepted its config file, or has not. */
async function isAccepted(api: KubeApi, expected: boolean): Promise<boolean> {
  const replicas = await processesOf(api, 'webhook')
  const texts = await Promise.all(replicas.map(({ address }) => metricsOf(address)))
  const accepted = texts
    .filter((text) => text !== null)
    .map((text) => valueOf(text, 'berth_config_last_reload_successful') === 1)
  return accepted.length > 0 && accepted.every((each) => each === expected)
}

async function issuer(): Promise<string> {
  const secret = await getJson<{ data: Record<string, string> } & object>(
    'secret',
    certificateSecret,
    namespace,
  )
  return new X509Certificate(Buffer.from(secret.data['tls.crt'] ?? '', 'base64')).issuer
}

/** `row-2` after `row-1`. */
function nextRow(row: string): string {
  return `row-${Number(row.slice('row-'.length)) + 1}`
}

export const rotationFaults: readonly Fault[] = [
  {
    name: 'config changed',
    disturbs: ['config'],
    async begin(site) {
      const row = nextRow(site.row())
      await site.configure(row)
      return {
        target: row,
        end: () => Promise.resolve(),
        recovered: () =>
          waitFor(`decisions of ${row}`, () =>
            site.ledger.last(10).every((pod) => pod?.row === row),
          ).then(() => undefined),
      }
    },
  },
  {
    name: 'config with an error',
    disturbs: ['config'],
    async begin(site) {
      await site.breakConfig()
      return {
        target: 'berth-config',
        inEffect: () =>
          waitFor('the config to be rejected', () => isAccepted(site.api, false)).then(
            () => undefined,
          ),
        end: () => site.configure(site.row()),
        recovered: () =>
          waitFor('the config to be accepted', () => isAccepted(site.api, true)).then(
            () => undefined,
          ),
      }
    },
  },
  {
    name: 'CA rotated',
    disturbs: ['certificate'],
    async begin() {
      const before = await issuer()
      const secret = ['secret', certificateSecret, '-n', namespace]
      await kubectlOk(['annotate', ...secret, '--overwrite', 'berth.dev/rotate=now'])
      return {
        target: certificateSecret,
        end: () => Promise.resolve(),
        recovered: () =>
          waitFor('a certificate of another CA', async () => (await issuer()) !== before).then(
            () => undefined,
          ),
      }
    },
  },
]
