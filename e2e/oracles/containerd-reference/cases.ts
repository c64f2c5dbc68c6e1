/** Images for the comparison with containerd: hand-picked ones, and generated ones that are almost valid. */
import fc from 'fast-check'
import { hostileImages } from '../../../test/robustness/pods.ts'

const digest = `sha256:${'a'.repeat(64)}`

const handPicked: readonly string[] = [
  ...hostileImages,
  'nginx',
  'auto',
  'my_registry.example/x:1',
  'my_registry.example/team/x',
  '_.example/x',
  'a__b.example/x',
  'a.b_c/x/y:1@' + digest,
  'foo_bar.com/x@' + digest,
  'a_.example/x',
  'a-.example/x',
  '-a.example/x',
  'a..example/x',
  'example.com:0443/x',
  'example.com:443/x',
  'example.com:80/x',
  'example.com:065979/x',
  `example.com:${'0'.repeat(200)}443/x:1`,
  `example.com:${'0'.repeat(4_180)}443/x:1`,
  `example.com:${'0'.repeat(70_000)}443/x:1`,
  `${'a'.repeat(254)}.example/x`,
  `${'a'.repeat(60)}.`.repeat(200) + 'example/x',
  `${'a.'.repeat(40_000)}b/x`,
  `[${':'.repeat(5_000)}]/x`,
  `[${'0'.repeat(5_000)}::1]:443/x`,
  'docker.io/nginx',
  'docker.io:443/nginx',
  'docker.io:0443/library/nginx',
  'DOCKER.IO/nginx',
  'Docker.Io:443/nginx',
  'INDEX.DOCKER.IO/nginx',
  'index.docker.io:443/nginx',
  'registry-1.docker.io/library/nginx',
  'REGISTRY-1.docker.io:0443/library/nginx',
  'm.example/x',
  'M.example:0443/x',
  'm.example:80/x',
  'm.example:5000/x',
  'p.example:05000/x',
  'P.EXAMPLE:5000/x',
  'LOCALHOST/x',
  'localhost:443/x',
  '[2001:DB8::1]:443/x',
  '[2001:db8:0::1]/x',
  'A/x',
  'A:1/x',
  'a:1/x',
  'x'.repeat(255),
  `docker.io/${'x/'.repeat(127)}x`,
  `x:${'t'.repeat(128)}`,
  `x@sha512:${'a'.repeat(128)}`,
  `x@sha384:${'a'.repeat(96)}`,
  `x@sha224:${'a'.repeat(56)}`,
  `x@blake3:${'a'.repeat(64)}`,
  `x:1@${digest}`,
  `x@${digest}@${digest}`,
  'sha256:'.padEnd(71, 'a'),
  'a'.repeat(63),
  `library/${'a'.repeat(64)}`,
]

/** Each part is usually valid, so that the whole image often is. */
const piece = fc.oneof(
  { arbitrary: fc.stringMatching(/^[a-z0-9]{1,8}$/), weight: 12 },
  { arbitrary: fc.stringMatching(/^[a-z]{1,3}(?:\.|_|__|-|--)[a-z0-9]{1,3}$/), weight: 4 },
  { arbitrary: fc.stringMatching(/^[A-Z][a-z0-9]{0,3}$/), weight: 2 },
  {
    arbitrary: fc.constantFrom('..', '.', '_', '-', '%2e', 'a..b', 'a___b', 'K', 'é', ' ', ''),
    weight: 1,
  },
)
const hostName = fc.oneof(
  {
    arbitrary: fc.constantFrom('docker.io', 'index.docker.io', 'm.example', 'p.example', 'ghcr.io'),
    weight: 4,
  },
  {
    arbitrary: fc.array(piece, { minLength: 1, maxLength: 3 }).map((all) => all.join('.')),
    weight: 4,
  },
  { arbitrary: fc.ipV4(), weight: 1 },
  { arbitrary: fc.ipV6().map((address) => `[${address}]`), weight: 1 },
  { arbitrary: fc.constantFrom('localhost', '[::1]', '0x7f.1', 'xn--80ak6aa92e.com'), weight: 1 },
)
const mixedCase = fc
  .tuple(hostName, fc.infiniteStream(fc.boolean()))
  .map(([host, upper]) =>
    [...host]
      .map((letter) => (upper.next().value === true ? letter.toUpperCase() : letter))
      .join(''),
  )
const port = fc.oneof(
  { arbitrary: fc.constant(''), weight: 6 },
  { arbitrary: fc.constantFrom(':443', ':0443', ':80', ':5000', ':05000', ':000443'), weight: 6 },
  { arbitrary: fc.integer({ min: 0, max: 99_999 }).map((number) => `:${number}`), weight: 2 },
  { arbitrary: fc.constantFrom(':', ':a', ':-1', ':4_43', '::443'), weight: 1 },
)
const prefix = fc.oneof(
  { arbitrary: fc.constant(''), weight: 2 },
  {
    arbitrary: fc
      .tuple(
        fc.oneof({ arbitrary: hostName, weight: 3 }, { arbitrary: mixedCase, weight: 1 }),
        port,
      )
      .map((parts) => `${parts.join('')}/`),
    weight: 6,
  },
  {
    arbitrary: fc.constantFrom('//', '/', '\\', 'user:word@docker.io/', 'https://docker.io/'),
    weight: 1,
  },
)
const suffix = fc.oneof(
  { arbitrary: fc.constantFrom('', ':1', ':latest', `@${digest}`, `:1@${digest}`), weight: 12 },
  { arbitrary: fc.stringMatching(/^:[A-Za-z0-9_.-]{1,130}$/), weight: 2 },
  {
    arbitrary: fc.constantFrom(':', '@', '@sha256:abc', ':1:2', '\n', '?a=b', '#a', '%00'),
    weight: 1,
  },
)
const generated = fc
  .tuple(prefix, fc.array(piece, { minLength: 1, maxLength: 3 }), suffix)
  .map(([host, path, end]) => `${host}${path.join('/')}${end}`)

/** Returns the hand-picked images and `count` generated ones. The same seed gives the same images. */
export function makeImages(count: number, seed: number): string[] {
  return (
    [...new Set([...handPicked, ...fc.sample(generated, { numRuns: count, seed })])]
      // Go has no text with unpaired surrogates.
      .filter((image) => image.isWellFormed())
  )
}
