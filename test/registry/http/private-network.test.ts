import { describe, expect, it } from 'vitest'
import { systemNetwork } from '../../../src/registry/http/ip-ranges.ts'
import { createPrivateNetwork } from '../../../src/registry/http/private-network.ts'

function networkOf(addresses: readonly string[]) {
  const network = createPrivateNetwork(systemNetwork)
  for (const address of addresses) network.add(address)
  return network
}

describe('the network of a registry', () => {
  it.each<[string, readonly string[], string]>([
    ['public addresses', ['10.0.0.1'], '8.8.8.8'],
    ['public addresses, before the registry has an address', [], '8.8.8.8'],
    ['private IPv4', ['10.0.0.1'], '192.168.1.1'],
    ['private IPv4 as IPv6', ['10.0.0.1'], '::ffff:192.168.1.1'],
    ['the IPv6 site of the registry', ['fd12:3456:789a:1::1'], 'fd12:3456:789a:2::2'],
    ['private IPv4, if it has both', ['fd12:3456:789a::1', '10.0.0.2'], '10.0.0.1'],
    ['its IPv6 site, if it has both', ['10.0.0.2', 'fd12:3456:789a::1'], 'fd12:3456:789a::2'],
    ['loopback on loopback', ['127.0.0.1', '::1'], '127.0.0.2'],
  ])('has %s', (_, addresses, address) => {
    expect(networkOf(addresses).allows(address)).toBe(true)
  })

  it.each<[string, readonly string[], string]>([
    ['private addresses, before the registry has an address', [], '10.0.0.1'],
    ['private addresses, if it is public', ['8.8.8.8'], '10.0.0.1'],
    ['private addresses, if it is also public', ['10.0.0.2', '8.8.8.8'], '10.0.0.1'],
    ['private IPv4, if it has IPv6 only', ['fd12:3456:789a:1::1'], '10.0.0.1'],
    ['an IPv6 site, if it has IPv4 only', ['10.0.0.2'], 'fd12:3456:789a::2'],
    ['another IPv6 site', ['fd12:3456:789a:1::1'], 'fd12:3456:789b:1::2'],
    ['a metadata service in its IPv6 site', ['fd00:42::1'], 'fd00:42::42'],
    ['a metadata service in its IPv4 range', ['100.64.0.1'], '100.100.100.200'],
    ['loopback, if it is private', ['10.0.0.1'], '127.0.0.1'],
    ['loopback, if it has another address too', ['127.0.0.1', '10.0.0.1'], '127.0.0.2'],
    ['link-local addresses, also on its link', ['169.254.0.1'], '169.254.169.254'],
    ['reserved addresses', ['192.0.0.1'], '192.0.0.192'],
    ['text that is not an address', ['10.0.0.1'], 'localhost'],
  ])('does not have %s', (_, addresses, address) => {
    expect(networkOf(addresses).allows(address)).toBe(false)
  })

  it('keeps at most eight IPv6 sites', () => {
    const sites = Array.from({ length: 100 }, (_, index) => `fd00:${index + 1000}::1`)
    const network = networkOf(sites)

    expect(sites.filter((address) => network.allows(address))).toEqual(sites.slice(0, 8))
  })
})
