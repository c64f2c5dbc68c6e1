/** Defines `berth completion`, and the hidden `berth complete` that its scripts call. */
import { Argument } from 'commander'
import type { Shell } from '../completion-scripts.ts'
import { print } from '../io.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

const shells: readonly Shell[] = ['bash', 'zsh', 'fish']

export const defineCompletion: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'completion',
    summary: 'Print a shell completion script',
    examples: [
      [
        'Complete in this shell, and in new ones if the line is in ~/.bashrc',
        'source <(berth completion bash)',
      ],
      ['Install for fish', 'berth completion fish > ~/.config/fish/completions/berth.fish'],
    ],
  })
  command.addArgument(new Argument('<shell>', 'shell that reads the script').choices(shells))
  command.action((shell: Shell) =>
    run(async (io) => {
      const { completionScripts } = await import('../completion-scripts.ts')
      print(io.stdout, completionScripts[shell])
      return 0
    }),
  )
  parent
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action((words: string[]) =>
      run(async (io) => {
        const { completionsFor } = await import('../completion.ts')
        for (const { word, meaning } of completionsFor(parent, words))
          print(io.stdout, `${word}\t${meaning}`)
        return 0
      }),
    )
}
