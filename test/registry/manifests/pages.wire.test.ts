import { afterEach, describe, expect, it } from 'vitest'
import { readPages } from '../../../src/registry/manifests/pages.ts'
import { listReferrers } from '../../../src/registry/manifests/referrers.ts'
import { listTags } from '../../../src/registry/manifests/tags.ts'
import type { RegistryClient } from '../../../src/registry/registry-client.ts'
import { registriesFor } from '../../support/mirroring.ts'
import {
  type Fault,
  startStore,
  type Store,
  type StoreOptions,
} from '../../support/store-registry.ts'

let store: Store
let registries: RegistryClient

afterEach(async () => {
  await registries.close()
  await store.close()
})

const tags = ['1.0', '1.1', '1.2', '1.3', '1.4']

async function start(options: StoreOptions = {}) {
  store = await startStore({ pageSize: 2, ...options })
  for (const tag of tags) store.addImage('team/app', tag)
  registries = registriesFor([store.url])
}

const { signal } = new AbortController()

/** The most tags that are read. */
const maxTags = 250_000

function open(name = 'team/app') {
  return registries.open(store.host, name, 'pull')
}

/** Makes the page after the first one fail in this way. */
function failSecondPage(fault: Fault) {
  store.fault(({ path }) => (path.includes('last=') || path.includes('from=') ? fault : null))
}

const shapes: readonly [string, (path: string) => string | string[]][] = [
  ['a path', (path) => `<${path}>; rel="next"`],
  ['no quotes', (path) => `<${path}>; rel=next`],
  ['no spaces', (path) => `<${path}>;rel=next`],
  ['capitals', (path) => `<${path}>; REL="Next"`],
  ['other parameters', (path) => `<${path}>; title="a, \\"b\\"; <c>"; type=x; rel="next"; flag`],
  ['several relations', (path) => `<${path}>; rel="last next"`],
  ['several links', (path) => `</v2/x>; rel="first", <${path}>; rel="next", <${path}0>; rel=last`],
  ['several headers', (path) => ['</v2/x>; rel="first"', '', `<${path}>; rel="next"`]],
  ['commas in its URL', (path) => `<${path}&a=1,2;3>; rel="next"`],
  ['a query only', (path) => `<?${path.split('?')[1]}>; rel="next"`],
  ['another scheme', (path) => `<https://${store.host}${path}>; rel="next"`],
  ['another host', (path) => `<http://registry.internal${path}>; rel="next"`],
  ['another port', (path) => `<http://127.0.0.1:5000${path}>; rel="next"`],
  ['a host without a scheme', (path) => `<//registry.internal:5000${path}>; rel="next"`],
  ['a user', (path) => `<http://user:secret@registry.internal${path}>; rel="next"`],
  ['another path prefix', (path) => `<https://registry.internal/backend${path}>; rel="next"`],
]

describe('a list in pages', () => {
  it.each(shapes)('is read to its end if the Link header has %s', async (_, link) => {
    await start({ link })

    expect(await listTags(await open(), signal)).toEqual(tags)
  })

  it.each(shapes)('is read below the path prefix of the endpoint with %s', async (_, link) => {
    await start({ link, prefix: '/cache/hub' })

    expect(await listTags(await open(), signal)).toEqual(tags)
    expect(store.requests.every(({ path }) => path.startsWith('/cache/hub/v2/'))).toBe(true)
  })

  it('is read below a path prefix that the link has too', async () => {
    await start({ prefix: '/a/v2/b', link: (path) => `</a/v2/b${path}>; rel="next"` })

    expect(await listTags(await open(), signal)).toEqual(tags)
  })

  it('has one page if no link leads to the next', async () => {
    await start({ link: () => '<https://docs.example>; rel="deprecation"' })

    expect(await listTags(await open(), signal)).toEqual(tags.slice(0, 2))
  })

  it.each([
    ['is not a link', 'next page please'],
    ['has no end of its URL', '</v2/team/app/tags/list'],
    ['has no end of its quotes', '</v2/team/app/tags/list?last=1.1>; rel="next'],
    ['has text after the link', '</v2/team/app/tags/list?last=1.1> rel="next"'],
    ['leads outside of the API', '</other/list?last=1.1>; rel="next"'],
    ['has an invalid URL', '<http://[>; rel="next"'],
  ])('is an error if its Link header %s', async (_, link) => {
    await start({ link: () => link })

    await expect(listTags(await open(), signal)).rejects.toThrow(
      `${store.host} sent a Link header that Berth cannot use, so the list of tags of team/app may be incomplete`,
    )
  })

  it.each<[string, Fault, RegExp]>([
    ['does not exist', { status: 404 }, /^404 UNKNOWN from .* for page 2 of the list of tags/],
    ['is denied', { status: 403 }, /^403 UNKNOWN/],
    ['fails', { status: 500 }, /^500 UNKNOWN/],
    ['is not JSON', { body: Buffer.from('{"tags":["1.2"') }, /is not valid JSON/],
    ['is a web page', { body: Buffer.from('<html>') }, /is not valid JSON/],
    ['is an error with status 200', { body: Buffer.from('{"errors":[]}') }, /is not valid JSON/],
    ['has tags that are not a list', { body: Buffer.from('{"tags":{}}') }, /is not valid JSON/],
    ['is compressed', { change: { 'content-encoding': 'gzip' } }, /is compressed/],
  ])('is an error if its second page %s', async (_, fault, message) => {
    await start()
    failSecondPage(fault)

    await expect(listTags(await open(), signal)).rejects.toThrow(message)
  })

  it('is an error if its pages have no end', async () => {
    await start({ link: () => '</v2/team/app/tags/list?last=1.0>; rel="next"' })

    await expect(listTags(await open(), signal)).rejects.toThrow(/pages .* that have no end/)
  })

  it('is an error if there are too many pages', async () => {
    await start()
    const subject = 'the list of tags'
    const pages = readPages(await open(), { target: 'tags/list', subject, maxPages: 2, signal })
    const statuses: number[] = []
    const readAll = async () => {
      for await (const { status } of pages) statuses.push(status)
    }

    await expect(readAll()).rejects.toThrow('sends more than 2 pages of the list of tags')
    expect(statuses).toEqual([200, 200])
  })
})

describe('a list of tags', () => {
  it('is read again from the start of a page whose connection broke', async () => {
    await start()
    let failures = 0
    store.fault(({ path }) => (path.includes('last=1.1') && failures++ < 2 ? { cutAt: 20 } : null))

    expect(await listTags(await open(), signal)).toEqual(tags)
    expect(failures).toBe(3)
  })

  it('is empty for null, as docker-registry sends it', async () => {
    await start()
    const body = Buffer.from('{"name":"team/app","tags":null}')
    store.fault(() => ({ body, change: { link: null } }))

    expect(await listTags(await open(), signal)).toEqual([])
  })

  it('is null if the repository does not exist', async () => {
    await start()

    expect(await listTags(await open('team/none'), signal)).toBeNull()
  })

  it.each([1, 2 * maxTags])(
    'is refused with a message over 250,000 tags, %d of them bad',
    async (bad) => {
      await start()
      const list = Array.from({ length: maxTags + 1 }, (_, at) => `v${at}`)
      const more = Array.from({ length: bad }, () => '..')
      store.fault(() => ({ body: Buffer.from(JSON.stringify({ tags: [...more, ...list] })) }))

      await expect(listTags(await open(), signal)).rejects.toThrow(
        'the list of tags of team/app has more than 250,000 tags; name the tags instead',
      )
    },
  )

  it('is read with 200,000 tags in one page', async () => {
    await start()
    const list = Array.from({ length: 200_000 }, (_, at) => `v${at}`)
    const body = Buffer.from(JSON.stringify({ tags: list }))
    store.fault(() => ({ body, change: { link: null } }))

    expect(await listTags(await open(), signal)).toEqual(list)
  })
})

describe('a list of referrers', () => {
  const referrersOf = async () => {
    const [subject = ''] = store.tags.get('team/app')?.values() ?? []
    const all = [1, 2, 3].map((n) =>
      store.addImage('team/app', null, { subject, more: { annotations: { n } } }),
    )
    return { subject, all }
  }
  const list = async (subject: string) =>
    (await listReferrers(await open(), subject, signal)).map(({ digest }) => digest)

  it.each(shapes)('is read to its end if the Link header has %s', async (_, link) => {
    await start({ link })
    const { subject, all } = await referrersOf()

    expect(await list(subject)).toEqual(all)
  })

  it.each<[string, Fault, RegExp]>([
    ['does not exist', { status: 404 }, /^404 UNKNOWN from .* for page 2 of the list of referrers/],
    ['is not JSON', { body: Buffer.from('{') }, /is not JSON/],
    ['has no manifests', { body: Buffer.from('{}') }, /has no list of manifests/],
    [
      'has an entry without a digest',
      { body: Buffer.from('{"manifests":[{}]}') },
      /has an entry without a valid digest/,
    ],
    ['is a web page', { change: { 'content-type': 'text/html' } }, /another media type/],
    ['is compressed', { change: { 'content-encoding': 'gzip' } }, /compressed/],
  ])('is an error if its second page %s', async (_, fault, message) => {
    await start()
    const { subject } = await referrersOf()
    failSecondPage(fault)

    await expect(list(subject)).rejects.toThrow(message)
  })
})
