/**
 * Asks a registry for many images, and prints the memory that it took. Run it in a separate process.
 * Arguments: the port of the registry on loopback, and the number of images.
 */
import { createByteBudget } from '../../src/async/byte-budget.ts'
import { bodyBudgetBytes } from '../../src/registry/http/response-body.ts'
import { createManifestSource } from '../../src/registry/manifests/manifest-source.ts'
import { registryDefaults } from '../../src/registry/http/registry-settings.ts'

const [port = '', images = ''] = process.argv.slice(2)
const host = `127.0.0.1:${port}`
const source = createManifestSource({
  registries: new Map([[host, registryDefaults(host, new URL(`http://${host}`))]]),
  keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
  now: () => Date.now(),
  bodyBudget: createByteBudget(bodyBudgetBytes.webhook),
})

const before = process.memoryUsage.rss()
const { signal } = new AbortController()
const answers = await Promise.all(
  Array.from({ length: Number(images) }, async (_, index) => {
    const query = { host, repository: `team/app${index}`, reference: '1', namespace: 'default' }
    const prepared = await source.prepare(query)
    return prepared.send(signal)
  }),
)
const peak = process.resourceUsage().maxRSS * 1024
await source.close()
process.stdout.write(
  JSON.stringify({ bytes: peak - before, outcomes: answers.map(({ outcome }) => outcome) }),
)
