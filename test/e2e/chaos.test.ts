import { describe, expect, it } from 'vitest'
import { waitedBetween } from '../../e2e/harness/chaos/cpu-wait.ts'
import { createLedger } from '../../e2e/harness/chaos/ledger.ts'
import { growth } from '../../e2e/harness/chaos/memory.ts'
import { eachFaultOnce, randomSteps } from '../../e2e/harness/chaos/schedule.ts'
import { createCanaries } from '../../e2e/harness/chaos/canaries.ts'

const names = ['a', 'b', 'c', 'd', 'e', 'f']
const faults = names.map((name, index) => ({
  name,
  disturbs: [`${index % 3}`, ...(index === 5 ? ['0'] : [])],
}))

describe('eachFaultOnce', () => {
  it('returns every fault once, in an order of the seed', () => {
    const steps = eachFaultOnce(names, 1)

    expect(steps.flatMap((step) => step.faults).toSorted()).toEqual(names)
    expect(eachFaultOnce(names, 1)).toEqual(steps)
    expect(eachFaultOnce(names, 2)).not.toEqual(steps)
  })
})

describe('randomSteps', () => {
  it('returns the same steps for the same seed', () => {
    const options = { seed: 5, count: 50 }

    expect(randomSteps(faults, options)).toEqual(randomSteps(faults, options))
    expect(randomSteps(faults, options)).not.toEqual(randomSteps(faults, { ...options, seed: 6 }))
  })

  it('never combines two faults that disturb the same', () => {
    const steps = randomSteps(faults, { seed: 7, count: 500 })

    const disturbed = steps.map((step) =>
      faults.flatMap(({ name, disturbs }) => (step.faults.includes(name) ? disturbs : [])),
    )
    expect(steps.some((step) => step.faults.length === 2)).toBe(true)
    expect(disturbed.filter((each) => new Set(each).size !== each.length)).toEqual([])
  })
})

describe('createLedger', () => {
  const ledgerOf = () =>
    createLedger(new Set(['mirror.example/app:1']), (text) => text.includes('pw'))
  const pod = (image: string, annotations?: Record<string, string>) => ({
    metadata: { name: 'p', uid: 'u', ...(annotations && { annotations }) },
    spec: { containers: [{ name: 'main', image, imagePullPolicy: 'Always' }] },
    status: { phase: 'Pending' },
  })
  const record = { 'berth.dev/images': '[{"row":"hub"}]' }

  it('counts pods without a record, and reports foreign images and secrets', () => {
    const ledger = ledgerOf()
    ledger.onCreated(pod('mirror.example/app:1', record))
    ledger.onCreated(pod('mirror.example/app:1'))
    ledger.onCreated(pod('elsewhere.example/app:1', record))
    ledger.onCreated(pod('mirror.example/app:1', { ...record, note: 'pw' }))

    expect(ledger.unprocessed()).toBe(1)
    expect(ledger.last(2)).toEqual([
      { image: 'elsewhere.example/app:1', row: 'hub' },
      { image: 'mirror.example/app:1', row: 'hub' },
    ])
    expect(ledger.problems).toEqual([
      'p got the image elsewhere.example/app:1',
      'p contains a secret',
    ])
  })

  it('explains a failure only by an outage that overlaps its request', () => {
    const ledger = ledgerOf()
    const before = { from: performance.now() - 2, at: performance.now() - 1, problem: 'before' }
    const outage = ledger.beginOutage('webhook killed')
    const during = { from: outage.from + 1, at: outage.from + 2, problem: 'during' }
    outage.close()
    const after = { from: outage.until + 1, at: outage.until + 2, problem: 'after' }

    expect(ledger.unexplained([before, during, after])).toEqual([before, after])
    expect(ledger.outages([before, during, after])).toEqual([
      { fault: 'webhook killed', count: 1, lastMs: 2 },
    ])
  })
})

describe('waitedBetween', () => {
  const samples = [0, 100, 2_100, 2_200].map((waitedMs, index) => ({ at: index * 1_000, waitedMs }))

  it('compares the samples around a request', () => {
    expect(waitedBetween(samples, 1_500, 1_900)).toBe(2_000)
    expect(waitedBetween(samples, 500, 2_500)).toBe(2_200)
  })

  it('returns 0 if the process was not there before and after the request', () => {
    expect(waitedBetween(samples, -500, 1_500)).toBe(0)
    expect(waitedBetween(samples, 1_500, 3_500)).toBe(0)
  })
})

describe('growth', () => {
  it('compares the last quarter of the samples with the second, without single peaks', () => {
    const residentBytes = [10, 20, 50, 100, 900, 100, 110, 120, 130, 150, 150, 1_000]

    expect(growth({ pod: 'p', errors: 0, residentBytes })).toBe(1.5)
  })
})

describe('createCanaries', () => {
  it('finds the password as a text, in base64 and in a URL, and private keys', () => {
    const { account, isIn } = createCanaries()
    const login = Buffer.from(`${account.username}:${account.password}`).toString('base64')

    const config = Buffer.from(JSON.stringify({ auths: { 'mirror.example': account } }))
    const texts = [
      config.toString('base64'),

      account.password,
      login,
      encodeURIComponent(account.password),
      '-----BEGIN EC PRIVATE KEY-----',
    ]
    expect(texts.map((text) => isIn(`x${text}y`))).toEqual(texts.map(() => true))
    expect(isIn(account.username)).toBe(false)
  })
})
