/** Label selectors, as Kubernetes writes them in objects (apimachinery, pkg/apis/meta/v1/types.go, LabelSelector). */

export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly matchExpressions: readonly {
    readonly key: string
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
    readonly values: readonly string[]
  }[]
}

/** All parts must hold. As in Kubernetes, `NotIn` holds where the label is not there. */
export function matchesSelector(
  { matchLabels, matchExpressions }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const valueOf = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    Object.entries(matchLabels).every(([key, value]) => valueOf(key) === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      const value = valueOf(key)
      const isListed = value !== undefined && values.includes(value)
      switch (operator) {
        case 'In':
          return isListed
        case 'NotIn':
          return !isListed
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
      }
    })
  )
}
