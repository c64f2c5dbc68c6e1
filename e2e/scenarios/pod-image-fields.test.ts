import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { auditEvents } from '../harness/audit-log.ts'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import type { HttpsWebhook } from '../harness/https-webhook.ts'
import {
  apply,
  createNamespace,
  getJson,
  kubectl,
  kubectlOk,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { getPod, type Pod, podManifest, waitForPodRunning } from '../harness/pods.ts'
import { startSidecarInjector } from '../harness/sidecar-injector.ts'
import { waitFor } from '../harness/wait.ts'

/** Berth rewrites every image field of a pod and keeps everything else. */
const namespace = 'whole'
const onMirror = 'mirror.example/library/app:1'
let registries: MirrorAndUpstream
let webhook: Webhook

beforeAll(async () => {
  registries = await startMirrorAndUpstream('whole')
  await registries.push(registries.mirror, 'library/app', '1')
  await registries.push(registries.mirror, 'library/once', '1')
  webhook = await startWebhook({ name: 'whole', config: registries.config, canary: 'app:1' })
  await createNamespace(namespace)
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  await registries?.stop()
})

async function dryRun(manifest: object): Promise<string> {
  return kubectlOk(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
    input: JSON.stringify(manifest),
  })
}

function podWith(
  name: string,
  spec: object,
  metadata: object = {},
): { kind: 'Pod'; metadata: object; spec: object } {
  const base = podManifest({ name, image: 'app:1', namespace })
  return {
    ...base,
    metadata: { name, namespace, ...metadata },
    spec: { ...(base['spec'] as object), ...spec },
  }
}

describe('image fields', () => {
  test('of containers, sidecars and debug containers are rewritten, and the pod runs', async () => {
    const initContainers = [{ name: 'sidecar', image: 'app:1', restartPolicy: 'Always' }]
    await apply(podWith('full', { initContainers }))
    const pod = await waitForPodRunning('full', namespace)
    await kubectlOk([
      'debug',
      'full',
      '-n',
      namespace,
      '--image=app:1',
      '--container=debugger',
      '--profile=general',
    ])
    const debugged = await waitFor('the debug container', async () => {
      const found = await getPod('full', namespace)
      return found.status.ephemeralContainerStatuses?.[0]?.state.running !== undefined && found
    })

    expect([pod.spec.initContainers?.[0]?.image, pod.spec.containers[0]?.image]).toEqual([
      onMirror,
      onMirror,
    ])
    expect(debugged.spec.ephemeralContainers?.[0]).toMatchObject({
      image: onMirror,
      imagePullPolicy: 'IfNotPresent',
    })
  })

  test('of an init container are rewritten', async () => {
    const { spec } = JSON.parse(
      await dryRun(podWith('init', { initContainers: [{ name: 'i', image: 'once:1' }] })),
    ) as Pod

    expect(spec.initContainers?.[0]?.image).toBe('mirror.example/library/once:1')
  })

  test('of an image volume are rewritten, with its pull policy', async () => {
    const volumes = [{ name: 'v', image: { reference: 'app:1', pullPolicy: 'Always' } }]
    const pod = JSON.parse(await dryRun(podWith('volume', { volumes }))) as {
      spec: { volumes: unknown[] }
    }

    expect(pod.spec.volumes).toContainEqual({
      name: 'v',
      image: { reference: onMirror, pullPolicy: 'IfNotPresent' },
    })
  })
})

describe('the webhook', () => {
  test('is not called for a new label on a pod', async () => {
    const before = await admissions()
    await kubectlOk(['label', 'pod', 'full', '-n', namespace, 'a=b'])
    const pod = await getPod('full', namespace)

    expect(pod.metadata.labels).toMatchObject({ a: 'b' })
    expect(await admissions()).toBe(before)
  })

  test('is called for a new image on a running pod', async () => {
    await kubectlOk(['set', 'image', 'pod/full', '-n', namespace, 'main=once:1'])
    const pod = await getPod('full', namespace)

    expect(pod.spec.containers[0]?.image).toBe('mirror.example/library/once:1')
    expect(JSON.parse(pod.metadata.annotations?.['berth.dev/images'] ?? '[]')).toContainEqual(
      expect.objectContaining({ site: 'containers/main', from: 'once:1' }),
    )
  })

  test('admits a mirror pod unchanged', async () => {
    const mirrorPodSpec = {
      nodeName: currentCluster().nodes[0]?.name,
      automountServiceAccountToken: false,
      serviceAccountName: '',
      enableServiceLinks: false,
    }
    const mirrorPod = podWith('static', mirrorPodSpec, {
      annotations: { 'kubernetes.io/config.mirror': 'x' },
    })
    const { spec } = JSON.parse(await dryRun(mirrorPod)) as Pod
    const withSecret = podWith(
      'static',
      { ...mirrorPodSpec, imagePullSecrets: [{ name: 's' }] },
      { annotations: { 'kubernetes.io/config.mirror': 'x' } },
    )
    const rejected = await kubectl(['create', '--dry-run=server', '-f', '-'], {
      input: JSON.stringify(withSecret),
    })

    expect(spec.containers[0]?.image).toBe('app:1')
    expect(rejected.stderr).toContain('may not reference secrets')
  })
})

/** Returns the number of admissions in the namespace so far. */
async function admissions(): Promise<number> {
  // The process writes the line of an admission after its response, and before it answers another request.
  await webhook.metrics()
  return webhook.log().filter((line) => line['namespace'] === namespace).length
}

describe('everything else', () => {
  test('in a pod is kept: odd keys, 64-bit integers, unknown names', async () => {
    const manifest = (name: string) =>
      JSON.stringify(
        podWith(
          name,
          {
            tolerations: [
              { key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 'BIG' },
            ],
            volumes: [
              {
                name: 'c',
                csi: {
                  driver: 'd',
                  volumeAttributes: {
                    __proto__: null,
                    'a/b~c': '~1',
                    '': 'empty',
                    constructor: 'x',
                    'x y': '%',
                  },
                },
              },
            ],
          },
          { annotations: { 'example.com/a': '~0/~1', 'example.com/constructor': 'c' } },
        ),
      )
        .replace('"BIG"', '9007199254740993')
        .replace('"volumeAttributes":{', '"volumeAttributes":{"__proto__":"p",')
    const withBerth = await kubectlOk(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
      input: manifest('odd'),
    })
    await createNamespace('whole-off', { 'berth.dev/rewrite': 'disabled' })
    const withoutBerth = await waitFor('a pod without Berth', async () => {
      const text = await kubectlOk(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
        input: manifest('odd').replaceAll(`"${namespace}"`, '"whole-off"'),
      })
      return !text.includes('berth.dev/images') && text
    })
    await removeNamespaces('whole-off')

    expect(withBerth).toContain('"tolerationSeconds": 9007199254740993')
    expect(withBerth).toContain('"__proto__": "p"')
    expect(comparable(withBerth)).toEqual(
      comparable(withoutBerth).map((line) => line.replaceAll('whole-off', namespace)),
    )
  })

  test('in a Deployment is kept, because only pods are registered', async () => {
    const template = {
      metadata: { labels: { a: 'd' } },
      spec: { containers: [{ name: 'main', image: 'app:1' }] },
    }
    await apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', namespace },
      spec: { replicas: 0, selector: { matchLabels: { a: 'd' } }, template },
    })
    const { spec } = await getJson<{ spec: { template: { spec: Pod['spec'] } } }>(
      'deployment',
      'd',
      namespace,
    )

    expect(spec.template.spec.containers[0]?.image).toBe('app:1')
    expect(spec.template.spec.imagePullSecrets).toBeUndefined()
  })
})

/** Returns a pod's lines without those that Berth changes and those that differ between any two pods. */
function comparable(json: string): string[] {
  const different =
    /berth\.dev\/images|"image":|"imagePullPolicy":|"uid":|"creationTimestamp":|"time":|kube-api-access/
  return json
    .split('\n')
    .filter((line) => !different.test(line))
    .map((line) => line.trim().replace(/,$/, ''))
}

describe('a dry run', () => {
  test('shows the rewritten pod and creates nothing', async () => {
    const { stdout } = await kubectl(['apply', '--dry-run=server', '-o', 'json', '-f', '-'], {
      input: JSON.stringify(podManifest({ name: 'dry', image: 'app:1', namespace })),
    })

    expect((JSON.parse(stdout) as Pod).spec.containers[0]?.image).toBe(onMirror)
    expect((await kubectl(['get', 'pod', 'dry', '-n', namespace])).code).toBe(1)
  })
})

describe.each(['a-injector', 'z-injector'])('next to the webhook %s', (name) => {
  let injector: HttpsWebhook

  beforeAll(async () => {
    await createNamespace(name, { injected: name })
    injector = await startSidecarInjector(name, 'once:1')
  })

  afterAll(async () => {
    await injector?.stop()
    await removeNamespaces(name)
  })

  test('the added sidecar and the replaced image come from the mirror', async () => {
    const pod = podManifest({ name: 'mesh', image: 'auto', namespace: name })
    const images = await waitFor('the injected sidecar', async () => {
      const { spec } = JSON.parse(await dryRun(pod)) as Pod
      return spec.containers.length === 2 && spec.containers.map(({ image }) => image)
    })

    expect(images).toEqual(['mirror.example/library/once:1', 'mirror.example/library/once:1'])
  })
})

test('the audit log contains each image before and after', async () => {
  const event = await waitFor('the audit event', () =>
    auditEvents(
      ({ verb, objectRef, annotations }) =>
        verb === 'create' &&
        objectRef?.name === 'full' &&
        annotations?.['mutate.berth.dev/images'] !== undefined,
    ).at(0),
  )

  expect(JSON.parse(event.annotations?.['mutate.berth.dev/images'] ?? '[]')).toContainEqual(
    expect.objectContaining({ site: 'containers/main', from: 'app:1', to: onMirror, row: 'hub' }),
  )
})
