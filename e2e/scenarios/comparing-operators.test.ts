import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type ComparingOperator, startOperator } from '../harness/comparing-operator.ts'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { apply, getJson, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { repository } from '../harness/paths.ts'
import { getPod, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'
import { startWebhook, type Webhook } from '../harness/webhook.ts'

/** Operators that compare the images of their pods: Berth knows some, and the controller reports the others, or also lists them. */
const namespace = 'comparing-operators'
const own = 'comparing-operators-berth'
const known = { group: 'postgresql.cnpg.io', kind: 'Cluster', namespace, image: 'library/db:1' }
let registries: MirrorAndUpstream
let webhook: Webhook
let operator: ComparingOperator | undefined
let controller: Controller | undefined

beforeAll(async () => {
  registries = await startMirrorAndUpstream('operators')
  await registries.push(registries.mirror, 'library/db', '1')
  await registries.push(registries.upstream, 'library/db', '1')
  webhook = await startWebhook({
    name: 'operators',
    config: registries.config,
    canary: 'db:1',
    args: [`--namespace=${own}`],
  })
  for (const each of [namespace, own]) await kubectlOk(['create', 'namespace', each])
  for (const file of ['pull-failures/role', 'leave-conflicts/list', 'leave-conflicts/role'])
    await apply(
      readFileSync(join(repository, `deploy/components/${file}.yaml`), 'utf8')
        // The account of `startWebhook`.
        .replace(
          'name: berth-webhook, namespace: berth-system',
          'name: berth-webhook, namespace: default',
        ) // prettier-ignore
        .replaceAll('namespace: berth-system', `namespace: ${own}`),
    )
})

afterEach(async () => {
  await operator?.stop()
  operator = undefined
})

afterAll(async () => {
  await controller?.stop()
  await webhook?.stop()
  for (const kind of ['clusterrolebinding', 'clusterrole'])
    await remove(kind, 'berth-controller-pull-failures')
  await removeNamespaces(namespace, own)
  await registries?.stop()
})

type ConflictEvent = { message: string; involvedObject: { kind: string; name: string } }

async function conflictEvents(): Promise<ConflictEvent[]> {
  const args = ['get', 'events', '-n', namespace, '--field-selector=reason=ImageConflict']
  return (JSON.parse(await kubectlOk([...args, '-o', 'json'])) as { items: ConflictEvent[] }).items
}

test('the pod of a known operator keeps its image, and runs', async () => {
  operator = await startOperator({ ...known, name: 'rests' })
  await waitForPodRunning('rests', namespace)
  await waitFor('ten comparisons', () => (operator?.satisfied() ?? 0) >= 10)
  const pod = await getPod('rests', namespace)

  expect(operator.recreations()).toBe(0)
  expect(JSON.parse(pod.metadata.annotations?.['berth.dev/images'] ?? '[]')).toEqual([
    {
      site: 'containers/main',
      from: known.image,
      to: known.image,
      row: 'known:cloudnative-pg',
      why: 'left unchanged: the operator compares the images of its pods',
    },
  ])
})

test('the same operator deletes its pod again and again with knownConflicts: rewrite', async () => {
  await webhook.reload(`${registries.config}knownConflicts: rewrite\n`)
  operator = await startOperator({ ...known, name: 'loops' })

  await waitFor('five recreations', () => (operator?.recreations() ?? 0) >= 5)

  expect(operator.satisfied()).toBe(0)
})

test('the controller names an operator that is not in the list, and its row ends the recreations', async () => {
  await webhook.reload(registries.config)
  controller = await startController({
    name: 'operators',
    namespace: own,
    config: registries.config,
    kubeconfig: await createControllerAccount(own),
  })
  operator = await startOperator({ ...known, group: 'unlisted.example', kind: 'Database', name: 'unlisted' }) // prettier-ignore
  const [event] = await waitFor('the Event', async () => {
    const events = await conflictEvents()
    return events.length > 0 && events
  })

  expect(event?.involvedObject).toMatchObject({ kind: 'Database', name: 'unlisted' })
  // The controller counts the owner when its Event is written.
  await waitFor('the metric', async () =>
    (await controller?.metrics())?.includes('berth_image_conflicts 1\n'),
  )

  const row = event?.message.slice(event.message.indexOf('- {')) ?? ''
  await webhook.reload(registries.config.replace('fallback:\n', `fallback:\n  ${row}\n`))
  await waitFor('ten comparisons', () => (operator?.satisfied() ?? 0) >= 10)
  const recreations = operator.recreations()
  await waitFor('ten more comparisons', () => (operator?.satisfied() ?? 0) >= 20)

  expect(operator.recreations()).toBe(recreations)
  expect(await conflictEvents()).toHaveLength(1)
})

test('with conflicts: leave, an operator that is not in the list stops recreating its pod without a row', async () => {
  const config = `${registries.config}conflicts: leave\n`
  await webhook.reload(config)
  controller?.configure(config)
  await waitFor('the config', () => controller?.log().some(({ msg }) => msg === 'config reloaded'))
  operator = await startOperator({ ...known, group: 'unlisted.example', kind: 'Store', name: 'left' }) // prettier-ignore
  await waitFor('ten comparisons', () => (operator?.satisfied() ?? 0) >= 10)
  const recreations = operator.recreations()
  await waitFor('ten more comparisons', () => (operator?.satisfied() ?? 0) >= 20)

  expect(recreations).toBeGreaterThan(3)
  expect(operator.recreations()).toBe(recreations)
  const { metadata, spec } = await getPod('left', namespace)
  expect(spec.containers[0]?.image).toBe(known.image)
  expect(metadata.annotations?.['berth.dev/images']).toContain('detected:image-conflict')
  const list = await getJson<{ data: Record<string, string> }>('configmap', 'berth-image-conflicts', own) // prettier-ignore
  expect(JSON.parse(list.data['owners.json'] ?? '')).toEqual([
    expect.objectContaining({ kind: 'unlisted.example/Store', namespace, name: 'left' }),
  ])
  expect(await controller?.metrics()).toContain('berth_image_conflicts_left 1')
})
