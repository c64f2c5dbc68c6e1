/** What a Node object tells of a pull that failed there. Reads raw objects. Pure. */
import { isObject, member } from '../../json/json.ts'
import type { Seen } from './probe-evidence.ts'
import type { Evidence, PullVerdict } from '../verdict.ts'

/** Rules for which the node itself is evidence. */
const aboutNode: ReadonlySet<string> = new Set([
  'D02',
  'D03',
  'D13',
  'D35',
  'D36',
  'D60',
  'D62',
  'D63',
  'D64',
  'D68',
  'D71',
])

/** A kubelet reports this many images at the most (KubeletConfiguration, nodeStatusMaxImages). */
const maxReported = 50

export function wantsNode(rule: string): boolean {
  return aboutNode.has(rule)
}

/** Adds what the node says of itself; its conditions and its platform can prove a cause. */
export function withNode(verdict: PullVerdict, node: unknown, image: string): PullVerdict {
  const status = member(node, 'status')
  const info = member(status, 'nodeInfo')
  const name = text(member(node, 'metadata'), 'name')
  if (name === '') return verdict
  const runtime = text(info, 'containerRuntimeVersion')
  const about = `${name} runs ${runtime} and kubelet ${text(info, 'kubeletVersion')} on ${platformOf(node)}`
  const lines = runtime === '' ? [] : [about]
  const pressures = listOf(member(status, 'conditions')).filter(
    (condition) =>
      text(condition, 'type').endsWith('Pressure') && text(condition, 'status') === 'True',
  )
  for (const condition of pressures)
    lines.push(`${name} has ${text(condition, 'type')}: ${text(condition, 'message')}`)
  const { rule } = verdict.cause
  const isFull = pressures.some((condition) => text(condition, 'type') === 'DiskPressure')
  if (rule === 'D60' && isFull) return seen(verdict, lines, 'proved')
  if (rule !== 'D02') return seen(verdict, lines, verdict.certainty)
  const images = listOf(member(status, 'images'))
  const has = images.some((each) => {
    const names = member(each, 'names')
    return Array.isArray(names) && names.includes(image)
  })
  const isAll = images.length < maxReported
  lines.push(
    has
      ? `${name} reports the image: it was pulled with a credential that this pod does not have`
      : `${name} does not report the image${isAll ? '' : ', but reports no more than some'}`,
  )
  return seen(verdict, lines, has || isAll ? 'proved' : verdict.certainty)
}

/** Whether the image was made for the node: proves a platform that is missing, or speaks against it. */
export function withPlatform(
  verdict: PullVerdict,
  node: unknown,
  { platforms }: Seen,
): PullVerdict {
  if (verdict.cause.rule !== 'D35' || platforms === null) return verdict
  const own = platformOf(node)
  if (own === '/') return verdict
  return { ...verdict, certainty: platforms.includes(own) ? 'ambiguous' : 'proved' }
}

function seen(
  verdict: PullVerdict,
  lines: readonly string[],
  certainty: PullVerdict['certainty'],
): PullVerdict {
  const evidence = lines.map((says): Evidence => ({ from: 'node', says }))
  return { ...verdict, certainty, evidence: [...verdict.evidence, ...evidence] }
}

/** `linux/amd64`. */
function platformOf(node: unknown): string {
  const info = member(member(node, 'status'), 'nodeInfo')
  return `${text(info, 'operatingSystem')}/${text(info, 'architecture')}`
}

function text(value: unknown, key: string): string {
  const found = member(value, key)
  return typeof found === 'string' ? found : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
