/** Dry-run reviews of pods that tenants make up in order to use memory, time or registries. */

/** Repositories with this prefix get 502 from the registry. */
export const brokenPrefix = 'broken-'

/** The pods, by what is hostile about them. Each call of a function returns other images. */
export const hostilePods: Readonly<Record<string, (turn: number) => readonly Buffer[]>> = {
  'a pod of 12,000 images': (turn) => [
    reviewOf(Array.from({ length: 12_000 }, (_, index) => `team/many-${turn}-${index}:1`)),
  ],
  'pods with images that have no host for the grammar': (turn) => [
    reviewOf([`my_registry.example/x:${turn}`]),
    reviewOf([`example.com:${'0'.repeat(4_180)}443/x:${turn}`]),
  ],
  'ten pods of 700 images with long hosts': (turn) =>
    Array.from({ length: 10 }, (_, pod) =>
      reviewOf(
        Array.from({ length: 700 }, (__, index) => {
          const start = `h${turn}-${pod}-${index}.`
          return `${start}${'a.'.repeat((3_900 - start.length) / 2)}example/x:1`
        }),
      ),
    ),
  'a pod with images that the mirror answers with 502': (turn) => [
    reviewOf(Array.from({ length: 5 }, (_, index) => `team/${brokenPrefix}${turn}-${index}:1`)),
  ],
}

function reviewOf(images: readonly string[]): Buffer {
  const containers = images.map((image, index) => ({
    name: `c${index}`,
    image,
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'Always',
  }))
  return Buffer.from(
    JSON.stringify({
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        uid: '0b1e6f0a-6a0c-4e58-9d2b-3f6f6f1c7d11',
        resource: { group: '', version: 'v1', resource: 'pods' },
        namespace: 'hostile',
        operation: 'CREATE',
        object: {
          kind: 'Pod',
          apiVersion: 'v1',
          metadata: { name: 'hostile', namespace: 'hostile' },
          spec: { containers },
        },
        dryRun: true,
      },
    }),
  )
}
