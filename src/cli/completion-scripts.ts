/**
 * Completion scripts for bash, zsh and fish. Each hands the words up to the cursor to `berth complete`, which prints one
 * candidate a line, a tab, and its meaning. Without candidates the shell completes file names.
 */

/** Bash shows no meanings. Works with bash 3.2 (macOS) and without the package bash-completion. */
const bash = `# bash completion for berth
_berth() {
  local IFS=$'\\n'
  COMPREPLY=($(berth complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o bashdefault -o default -F _berth berth
`

/** Works with \`source <(…)\` and as a file \`_berth\` in a directory of \`fpath\`. */
const zsh = `#compdef berth
# zsh completion for berth
_berth() {
  local -a candidates
  candidates=("\${(@f)$(berth complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=("\${(@)candidates:#}")
  if (( $#candidates == 0 )); then
    _files
    return
  fi
  candidates=("\${(@)candidates//:/\\\\:}")
  candidates=("\${(@)candidates/$'\\t'/:}")
  _describe 'berth' candidates
}
if [ "$funcstack[1]" = _berth ]; then
  _berth "$@"
else
  compdef _berth berth
fi
`

const fish = `# fish completion for berth
function __berth_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l candidates (berth complete -- $words[2..] "$current" 2>/dev/null)
    if test (count $candidates) -gt 0
        printf '%s\\n' $candidates
    else
        __fish_complete_path "$current"
    end
end
complete -c berth -f -a '(__berth_complete)'
`

export const completionScripts = { bash, zsh, fish } as const

export type Shell = keyof typeof completionScripts
