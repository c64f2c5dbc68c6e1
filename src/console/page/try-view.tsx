/** The view that explains the decision for any image, as `berth explain` does. */
import { useState } from 'preact/hooks'
import { type ExplainAnswer, ExplanationView } from './explanation.tsx'
import { Problem } from './parts.tsx'
import { readTryForm, type TryForm } from './try-form.ts'
import type { Ask } from './store.ts'

const emptyForm: TryForm = { image: '', namespace: '', labels: '', owner: '', platform: '' }

export function TryView({ ask, probes }: { readonly ask: Ask; readonly probes: boolean }) {
  const [form, setForm] = useState(emptyForm)
  const [isProbing, setProbing] = useState(probes)
  const [isAsking, setAsking] = useState(false)
  const [answer, setAnswer] = useState<ExplainAnswer | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const submit = async () => {
    const read = readTryForm(form)
    if (!read.ok) {
      setProblem(read.problem)
      return
    }
    setAsking(true)
    try {
      setAnswer(await ask<ExplainAnswer>('explain', { ...read.question, probe: isProbing }))
      setProblem(null)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setAsking(false)
  }
  const field = (name: keyof TryForm, label: string, hint: string) => (
    <label class={name === 'image' ? 'wide' : ''}>
      <span class="label">{label}</span>
      <input
        class="mono"
        value={form[name]}
        placeholder={hint}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setForm({ ...form, [name]: event.currentTarget.value })}
      />
    </label>
  )
  return (
    <>
      <form
        class="panel try"
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        {field('image', 'Image', 'nginx:1.29')}
        {field('namespace', 'Namespace of the pod', 'unknown')}
        {field('labels', 'Labels', 'app=web,tier=front')}
        {field('owner', 'Owner', 'apps/ReplicaSet, or none')}
        {field('platform', 'Platform', 'linux/arm64')}
        <div class="actions">
          <button type="submit" class="primary" disabled={isAsking}>
            {isAsking ? 'Checking …' : 'Explain'}
          </button>
          {probes && (
            <label class="check">
              <input
                type="checkbox"
                checked={isProbing}
                onChange={(event) => setProbing(event.currentTarget.checked)}
              />
              Check the registries
            </label>
          )}
        </div>
      </form>
      <Problem message={problem} />
      <div aria-live="polite">
        {answer !== null && (
          <section class="panel">
            <header>
              <h2 class="mono">{answer.explanation.image}</h2>
            </header>
            <ExplanationView answer={answer} />
          </section>
        )}
      </div>
    </>
  )
}
