/** Environments and URLs for the comparison with Go's proxy rules: hand-picked ones, and generated ones that often match. */
import fc from 'fast-check'

export interface ProxyCase {
  readonly env: Readonly<Record<string, string>>
  readonly url: string
}

const hosts: readonly string[] = [
  'registry.example',
  'sub.registry.example',
  'xregistry.example',
  'registry.example.',
  'example',
  'localhost',
  'localhost.localdomain',
  'app.localhost',
  'registry.kube-system.svc',
  'registry.svc.cluster.local',
  'xn--bcher-kva.example',
  'a.xn--bcher-kva.example',
  '10.0.0.1',
  '10.0.1.1',
  '10.255.0.1',
  '127.0.0.1',
  '127.9.9.9',
  '169.254.169.254',
  '192.168.1.7',
  '[::1]',
  '[fd00::1]',
  '[fd00:0:1::7]',
  '[2001:db8::1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:127.0.0.1]',
  '0.0.0.0',
  '[::]',
]

const entries: readonly string[] = [
  '*',
  '**',
  '*.',
  '.',
  '',
  ' ',
  ':80',
  ':',
  '[]',
  '[]:80',
  'registry.example',
  'REGISTRY.Example',
  ' registry.example ',
  '.registry.example',
  '*.registry.example',
  '*registry.example',
  'registry.example.',
  'registry.example:443',
  'registry.example:80',
  'registry.example:5000',
  'registry.example:05000',
  'registry.example:',
  'registry.example:443:443',
  '.registry.example:443',
  '*.registry.example:5000',
  'https://registry.example',
  'registry.example/path',
  'example',
  '.example',
  '.svc',
  'svc',
  '.cluster.local',
  'cluster.local:443',
  'localhost',
  'bücher.example',
  '.BÜCHER.example',
  '*.bücher.example:443',
  'xn--bcher-kva.example',
  '10.0.0.1',
  '10.0.0.1:443',
  '10.0.0.1:5000',
  '010.0.0.1',
  '10.0.0',
  '10.0.0.',
  '10.',
  '10.0.0.0/8',
  '10.0.0.0/08',
  '10.0.0.0/16',
  '10.0.0.1/32',
  '10.0.0.0/0',
  '10.0.0.0/33',
  '10.0.0.0/',
  '10.0.0.0/-1',
  '10.0.0.0/8:443',
  '10.0.0.0/255.0.0.0',
  '0.0.0.0/0',
  '::/0',
  'fd00::/8',
  'fd00::/48',
  'fd00::1',
  '[fd00::1]',
  '[fd00::1]:443',
  '[fd00::1]:5000',
  'fd00::1%eth0',
  'fd00::%eth0/8',
  '[fd00::1',
  'fd00::1]:443',
  '::ffff:10.0.0.1',
  '[::ffff:10.0.0.1]:443',
  '::ffff:10.0.0.0/104',
  '::ffff:0:0/96',
  '::ffff:0:0/90',
  '::ffff:0.0.0.0/97',
  '169.254.0.0/16',
  '127.0.0.1',
  '[::1]',
]

const proxies: readonly string[] = [
  '',
  'http://proxy.example:3128',
  'http://proxy.example',
  'https://proxy.example:3129',
  'https://proxy.example',
  'proxy.example:3128',
  'proxy.example',
  '10.9.9.9:3128',
  '[fd00::9]:3128',
  'http://[fd00::9]:3128/',
  'http://user:word@proxy.example:3128',
  'http://user@proxy.example:3128',
  'http://us%40er:w%3Ard%2F@proxy.example:3128/',
  'user:word@proxy.example:3128',
  'HTTP://proxy.example:3128',
]

const urls = hosts.flatMap((host) =>
  ['https', 'http'].flatMap((scheme) =>
    ['', ':5000', ':443', ':80'].map((port) => new URL(`${scheme}://${host}${port}/v2/`).href),
  ),
)

const proxy = fc.constantFrom(...proxies)
const port = fc.constantFrom('', '', '', ':443', ':80', ':5000')
const generatedEntry = fc.oneof(
  { arbitrary: fc.constantFrom(...entries.filter((entry) => entry !== '*')), weight: 6 },
  {
    arbitrary: fc
      .tuple(fc.constantFrom('', '.', '*.'), fc.constantFrom(...hosts), port)
      .map((parts) => parts.join('')),
    weight: 4,
  },
  {
    arbitrary: fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 34 })).map((parts) => parts.join('/')),
    weight: 2,
  },
  {
    arbitrary: fc
      .tuple(fc.ipV6(), fc.integer({ min: 0, max: 130 }))
      .map((parts) => parts.join('/')),
    weight: 2,
  },
)
const environment = fc.record(
  {
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    NO_PROXY: fc.array(generatedEntry, { maxLength: 3 }).map((all) => all.join(',')),
    no_proxy: fc.array(generatedEntry, { maxLength: 2 }).map((all) => all.join(', ')),
  },
  { requiredKeys: [] },
)
const generated = fc.record({ env: environment, url: fc.constantFrom(...urls) })

/** Returns every entry with every URL, and `count` generated cases. The same seed gives the same cases. */
export function makeCases(count: number, seed: number): ProxyCase[] {
  const both = { HTTPS_PROXY: 'http://proxy.example:3128', HTTP_PROXY: 'http://proxy.example:3128' }
  const handPicked = entries.flatMap((entry) =>
    urls.map((url) => ({ env: { ...both, NO_PROXY: entry }, url })),
  )
  return [...handPicked, ...fc.sample(generated, { numRuns: count, seed })]
}
