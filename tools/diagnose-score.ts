// How often `berth diagnose --message` is right on the corpus: a line for each rule, the open and the held-out part apart.
import { classify } from '../src/diagnose/rules/classify.ts'
import { fixtures } from '../test/support/diagnose-corpus.ts'

for (const part of ['open', 'held-out'] as const) {
  const all = fixtures(part)
  const judged = all.map((each) => ({ ...each, found: classify(each.message).rule.id }))
  const right = judged.filter(({ rule, found }) => rule === found)
  console.log(
    `${part}: ${right.length} of ${all.length} right (${((100 * right.length) / all.length).toFixed(1)} %)`,
  )
  for (const rule of [...new Set(all.map((each) => each.rule))].sort()) {
    const of = judged.filter((each) => each.rule === rule)
    const wrong = of.filter(({ found }) => found !== rule).map(({ found }) => found)
    console.log(
      `  ${rule}  ${of.length - wrong.length}/${of.length}${wrong.length === 0 ? '' : `  taken for ${wrong.join(', ')}`}`,
    )
  }
}
