// Prints how many messages of the corpus `berth diagnose --message` classifies correctly: per rule, for each part.
import { corpusParts, readCorpus, scoreCorpus } from '../test/support/diagnose-corpus.ts'

for (const part of corpusParts) {
  const results = scoreCorpus(readCorpus(part))
  const correct = results.filter(({ isRight }) => isRight).length
  const exact = results.filter(({ rule, actual }) => rule === actual).length
  const proofs = results.filter(({ isWrongProof }) => isWrongProof).length
  const percent = ((100 * correct) / results.length).toFixed(1)
  console.log(
    `${part}: ${correct} of ${results.length} right (${percent} %; ${exact} with the first choice), wrong but proved: ${proofs}`,
  )
  for (const rule of [...new Set(results.map((each) => each.rule))].sort()) {
    const ofRule = results.filter((each) => each.rule === rule)
    const wrong = ofRule.flatMap(({ isRight, actual }) => (isRight ? [] : [actual]))
    const mistakes = wrong.length === 0 ? '' : `  classified as ${wrong.join(', ')}`
    console.log(`  ${rule}  ${ofRule.length - wrong.length}/${ofRule.length}${mistakes}`)
  }
}
