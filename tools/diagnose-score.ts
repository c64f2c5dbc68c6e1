// Prints how many messages of the corpus `berth diagnose --message` classifies correctly: per rule, for the open and the
// held-out part.
import { classify } from '../src/diagnose/rules/classify.ts'
import { corpusParts, readCorpus } from '../test/support/diagnose-corpus.ts'

for (const part of corpusParts) {
  const results = readCorpus(part).map(({ message, rule }) => ({
    expected: rule,
    actual: classify(message).rule.id as string,
  }))
  const correct = results.filter(({ expected, actual }) => expected === actual).length
  const percent = ((100 * correct) / results.length).toFixed(1)
  console.log(`${part}: ${correct} of ${results.length} right (${percent} %)`)
  for (const rule of [...new Set(results.map(({ expected }) => expected))].sort()) {
    const ofRule = results.filter(({ expected }) => expected === rule)
    const wrong = ofRule.flatMap(({ actual }) => (actual === rule ? [] : [actual]))
    const mistakes = wrong.length === 0 ? '' : `  classified as ${wrong.join(', ')}`
    console.log(`  ${rule}  ${ofRule.length - wrong.length}/${ofRule.length}${mistakes}`)
  }
}
