/** Generators of what can exhaust a process: pods with many images or long names, and deep or wide JSON. */
import { fc } from '../support/fast-check.ts'
import { braced, type JsonText } from './json-text.ts'
import { image, name, reviewText } from './pods.ts'
import { deniedImage } from './subject.ts'

/** Repeats a text up to a length: names that are far too long, in forms that a slow parser would read again and again. */
const longText = fc
  .tuple(
    fc.constantFrom(
      'a',
      'a.',
      'a-',
      'a/',
      '0',
      ':',
      '@',
      '/',
      'A',
      'é',
      '\u0000',
      '\ud83d\ude00',
      '[',
    ),
    fc.oneof(
      { arbitrary: fc.integer({ min: 100, max: 5_000 }), weight: 6 },
      { arbitrary: fc.integer({ min: 5_000, max: 200_000 }), weight: 1 },
    ),
  )
  .map(([part, length]) => part.repeat(Math.ceil(length / part.length)))
const longImage = fc.oneof(
  longText,
  longText.map((text) => `${text}/team/app:1`),
  longText.map((text) => `quay.io/${text}:1`),
  longText.map((text) => `quay.io/team/app:${text}`),
  longText.map((text) => `quay.io/team/app@sha256:${text}`),
  fc.integer({ min: 1, max: 4_500 }).map((zeros) => `quay.io:${'0'.repeat(zeros)}443/team/app:1`),
  fc.integer({ min: 1, max: 300 }).map((length) => `${'h'.repeat(length)}.example/team/app:1`),
)

/** Pods with long names in the places that Berth shows, keeps or compares. */
export const podWithLongNames: JsonText = fc
  .tuple(
    fc.array(fc.tuple(fc.oneof(longText, name), fc.oneof(longImage, image)), { maxLength: 4 }),
    longText,
    fc.constantFrom('name', 'generateName', 'serviceAccountName', 'label', 'annotation', 'record'),
  )
  .map(([containers, text, place]) =>
    JSON.stringify({
      metadata: {
        name: place === 'name' ? text : 'a',
        generateName: place === 'generateName' ? text : 'a',
        labels: place === 'label' ? { [text]: text } : {},
        annotations: {
          ...(place === 'annotation' ? { [text]: text } : {}),
          ...(place === 'record'
            ? {
                'berth.dev/images': JSON.stringify([
                  { site: 'containers/a', from: text, to: 'nginx', row: text, why: text },
                ]),
              }
            : {}),
        },
      },
      spec: {
        ...(place === 'serviceAccountName' ? { serviceAccountName: text } : {}),
        containers: containers.map(([each, from]) => ({ name: each, image: from })),
      },
    }),
  )

/** Pods with up to 3,000 image fields, in all lists, of which some repeat and one may be denied. */
export const podWithManyImages: JsonText = fc
  .record({
    fields: fc.integer({ min: 65, max: 3_000 }),
    distinct: fc.integer({ min: 1, max: 3_000 }),
    hosts: fc.array(
      fc.constantFrom(
        'docker.io',
        'quay.io',
        'ghcr.io',
        'mirror.example',
        'elsewhere.example',
        'first.example',
      ),
      { minLength: 1, maxLength: 3 },
    ),
    odd: fc.array(fc.tuple(fc.nat(3_000), image), { maxLength: 5 }),
    denied: fc.option(fc.nat(3_000)),
  })
  .map(({ fields, distinct, hosts, odd, denied }) => {
    const images = Array.from(
      { length: fields },
      (_, index) => `${hosts[index % hosts.length]}/team/app${index % distinct}:1`,
    )
    for (const [at, each] of odd) images[at % fields] = each
    if (denied !== null) images[denied % fields] = deniedImage
    const at = (kind: number) => images.filter((_, index) => index % 4 === kind)
    const containers = (kind: number) =>
      at(kind).map((each, index) => ({ name: `${kind}-${index}`, image: each }))
    return JSON.stringify({
      metadata: {},
      spec: {
        initContainers: containers(0),
        containers: [...containers(1), ...containers(2)],
        volumes: at(3).map((reference, index) => ({ name: `${index}`, image: { reference } })),
      },
    })
  })

/** JSON that is deeply nested or not closed, or has many members or elements. */
const deepOrWide: JsonText = fc
  .tuple(
    fc.constantFrom(['[', ']'], ['{"a":', '}'], ['[[],', ']'], ['{"a":{},"b":', '}']),
    fc.constantFrom('[]', '{}', '{"a":1}', '""', '1', 'null', `"${'x'.repeat(30)}"`),
    fc.integer({ min: 1, max: 20_000 }),
    fc.constantFrom('deep', 'open', 'wide', 'many keys', 'one key'),
  )
  .map(([[open = '', close = ''], item, count, kind]) => {
    if (kind === 'deep') return open.repeat(count) + item + close.repeat(count)
    if (kind === 'open') return open.repeat(count)
    if (kind === 'wide') return `[${Array.from({ length: count }, () => item).join(',')}]`
    const key = (index: number) => (kind === 'one key' ? '"k"' : `"k${index}"`)
    return braced(Array.from({ length: count }, (_, index) => [key(index), item]))
  })

/** Bodies with such JSON in some place, from the whole body to a member of a container. */
export const deepOrWideBody: JsonText = fc
  .tuple(
    deepOrWide,
    fc.constantFrom('body', 'request', 'object', 'oldObject', 'options', 'labels', 'env', 'list'),
  )
  .map(([text, place]) => {
    const at = (name: string, otherwise: string) => (place === name ? text : otherwise)
    const container = `{"name":"a","image":"nginx","env":${at('env', '[]')}}`
    const containers = at('list', `[${container}]`)
    const object = `{"metadata":{"labels":${at('labels', '{}')}},"spec":{"containers":${containers}}}`
    if (place === 'body') return text
    return reviewText(at('object', object), {
      ...(place === 'request' ? { userInfo: text } : {}),
      ...(['oldObject', 'options'].includes(place) ? { [place]: text } : {}),
    })
  })
