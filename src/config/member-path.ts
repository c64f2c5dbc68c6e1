/** Returns `spec`, `steps`, `[]`, `image` for `spec.steps[].image` and `spec.steps[*].image`. */
export function splitMemberPath(text: string): string[] {
  return text.replaceAll(/\[\*?\]/g, '.[]').split('.')
}
