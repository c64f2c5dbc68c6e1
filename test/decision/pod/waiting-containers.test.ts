import { describe, expect, it } from 'vitest'
import { waitingContainers } from '../../../src/decision/pod/waiting-containers.ts'

/** A pod with an init container, a container, an ephemeral container and an image volume; `main` waits. */
function imageOf(message: string, reason = 'ErrImagePull') {
  const [waiting] = waitingContainers({
    spec: {
      initContainers: [{ name: 'init', image: 'init.example/a:1' }],
      containers: [
        { name: 'main', image: 'nginx' },
        { name: 'side', image: 'side.example/a:1' },
      ],
      ephemeralContainers: [{ name: 'debug', image: 'debug.example/a@sha256:' + 'a'.repeat(64) }],
      volumes: [
        { name: 'model', image: { reference: 'models.example/m:1' } },
        { name: 'data', emptyDir: {} },
      ],
    },
    status: { containerStatuses: [{ name: 'main', state: { waiting: { reason, message } } }] },
  })
  return waiting?.image
}

const volume = { image: 'models.example/m:1', field: 'volumes/model' }
const own = { image: 'nginx', field: 'containers/main' }

describe('the image of a waiting container', () => {
  it.each([
    ['Back-off pulling image "models.example/m:1"', volume],
    ['failed to pull and unpack image "models.example/m:1": failed to resolve reference "models.example/m:1": no basic auth credentials', volume],
    ['rpc error: code = Unknown desc = initializing source docker://models.example/m:1: pinging container registry models.example: dial tcp 10.0.0.1:443: i/o timeout', volume],
    ['image pull failed for models.example/m:1 because the registry is unavailable', volume],
    ['Container image "models.example/m:1" is not present with pull policy of Never', volume],
    ['Back-off pulling image "nginx": ErrImagePull: failed to pull and unpack image "docker.io/library/nginx:latest"', own],
    ['failed to pull and unpack image "docker.io/library/nginx:latest": mount /models.example/m:1', own],
    ['toomanyrequests: rate exceeded', own],
    ['reading manifest latest in docker.io/library/nginx: denied: image "side.example/a:1" is blocked', own],
    ['reading manifest latest in docker.io/library/nginx: denied: image "library/nginx" is not scanned', own],
    ['manifest unknown: manifest tag "latest" does not exist', own],
    ['manifest unknown: unknown reference "latest"', own],
    ['', own],
    [`failed to pull and unpack image "debug.example/a@sha256:${'a'.repeat(64)}"`, { image: `debug.example/a@sha256:${'a'.repeat(64)}`, field: 'ephemeralContainers/debug' }],
    ['Failed to apply default image tag "Nginx:1": couldn\'t parse image name "Nginx:1"', { image: 'Nginx:1', field: null }],
    ['failed to pull and unpack image "old.example/a:1": not found', { image: 'old.example/a:1', field: null }],
    ['failed to inspect image "sha256:0123": no such file', own],
    [String.raw`err=failed to pull image \"models.example/m:1\": not found`, volume],
  ])('of the message %s', (message, expected) => {
    expect(imageOf(message)).toEqual(expected)
  }) // prettier-ignore

  it('is its own if CRI-O reads another registry by its configuration', () => {
    const message = 'initializing source docker://mirror.corp/library/nginx:latest: reading manifest latest in mirror.corp/library/nginx: manifest unknown' // prettier-ignore

    expect(imageOf(message)).toEqual(own)
  })

  it('is that of a volume, if another container has the same image', () => {
    const image = 'models.example/m:1'
    const waiting = { reason: 'ErrImagePull', message: `failed to pull image "${image}": not found` }

    const [main] = waitingContainers({
      spec: {
        containers: [{ name: 'main', image: 'nginx' }, { name: 'side', image }],
        volumes: [{ name: 'model', image: { reference: image } }],
      },
      status: { containerStatuses: [{ name: 'main', state: { waiting } }] },
    })

    expect(main?.image).toEqual(volume)
  }) // prettier-ignore

  it('is found in linear time', () => {
    const start = performance.now()
    imageOf('image "'.repeat(200_000))
    imageOf(`docker://${'a'.repeat(1_000_000)}`)

    expect(performance.now() - start).toBeLessThan(1_000)
  })
})
