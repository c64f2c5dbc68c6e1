import { beforeAll, describe, expect, inject, test } from 'vitest'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { grantedRights, type RightUse, usedRights } from '../harness/rights.ts'

/**
 * The rights that deploy/ grants to the webhook and the controller, compared with the audit log of all scenarios. Runs last.
 * A right is a service account, a verb and a resource, without names.
 */

/** Rights that only rare faults use, with the reason. */
const unusedRights: Readonly<Record<string, string>> = {}

/**
 * A loop without its right retries after 10, 30, 70, 150, 310 s …, also when the config is reloaded meanwhile: at most six
 * requests in the ten minutes that a process lives in a scenario. Up to three loops of a process list pods.
 */
const maxRefusals = 18

describe('the rights of deploy/', () => {
  let granted: Map<string, string>
  let used: Map<string, RightUse>

  beforeAll(async () => {
    // Waits for the last events.
    await settledAuditEvents(() => false)
    granted = grantedRights()
    used = await usedRights()
  })

  test.skipIf(!inject('isWholeSuite'))('are all used', () => {
    const isUsed = (right: string) => (used.get(right)?.allowed ?? 0) > 0
    const unused = [...granted]
      .filter(([right]) => !isUsed(right) && unusedRights[right] === undefined)
      .map(([right, role]) => `${right} (role ${role})`)

    expect(unused, 'remove these rights, or list them with a reason').toEqual([])
    expect(
      Object.keys(unusedRights).filter((right) => isUsed(right) || !granted.has(right)),
      'used or no longer granted, so remove them from the list',
    ).toEqual([])
  })

  test('include every right that Berth asks for', () => {
    const missing = [...used.keys()].filter((right) => !granted.has(right))

    expect(missing, 'grant these rights in deploy/, or do not ask for them').toEqual([])
  })

  test('are asked for rarely where an installation lacks them', () => {
    const noisy = [...used].flatMap(([right, { refused }]) =>
      [...refused]
        .filter(([, count]) => count > maxRefusals)
        .map(([client, count]) => `${right}: refused ${count} times to ${client}`),
    )

    expect(noisy).toEqual([])
  })
})
