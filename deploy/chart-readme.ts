/** Makes the README of the Helm chart from the comments of its values. */
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml'

interface Row {
  readonly name: string
  readonly value: unknown
  readonly comment: string
}

/** Maps that are set as a whole, not member by member. */
const wholeValues = new Set(['config', 'resources', 'configFiles'])

/** Returns the page, with a row for each value. `text` is values.yaml, in which a comment is above each key. */
export function chartReadme(text: string): string {
  const root = parseDocument(text).contents as YAMLMap
  const rows = rowsOf(root, '').map(
    ({ name, value, comment }) =>
      `| \`${name}\` | \`${JSON.stringify(value)}\` | ${cell(comment)} |`,
  )
  return `# Helm chart of Berth

\`berth install --image IMAGE --helm-values > values.yaml\` writes values for your config; [install](../../docs/install.md#install-with-helm) describes the rest.

\`\`\`sh
helm install berth deploy/chart -n berth-system --create-namespace -f values.yaml
helm test berth -n berth-system   # the config is valid in a pod, and the webhook answers
\`\`\`

<!-- generated: the comments of values.yaml, by npm run docs:chart -->

| value | default | meaning |
| --- | --- | --- |
${rows.join('\n')}

<!-- end -->
`
}

function rowsOf(map: YAMLMap, prefix: string): Row[] {
  return map.items.flatMap((pair, index) => {
    const { key, value } = pair
    const name = `${prefix}${isScalar(key) ? String(key.value) : ''}`
    const [, last = name] = /([^.]+)$/.exec(name) ?? []
    // The library attaches the comment of the first key to the map.
    const comment =
      (isScalar(key) ? key.commentBefore : null) ?? (index === 0 ? map.commentBefore : null) ?? ''
    if (isMap(value) && value.items.length > 0 && !wholeValues.has(last))
      return rowsOf(value, `${name}.`)
    const plain: unknown = isScalar(value) ? value.value : (value as YAMLMap).toJSON()
    return [{ name, value: plain, comment }]
  })
}

/** The last paragraph of a comment: the one before it may be about the whole file. */
function cell(comment: string): string {
  const [text = ''] = comment.split('\n\n').toReversed()
  return text
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .replaceAll('|', '\\|')
}
