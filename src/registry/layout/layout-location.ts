/** Where an image layout is. */
export interface LayoutLocation {
  readonly kind: 'oci' | 'oci-archive'
  readonly path: string
}

/** Parses `oci:DIR` or `oci-archive:FILE`. Returns null for other text, such as a path followed by the name of an image. */
export function parseLayoutLocation(text: string): LayoutLocation | null {
  const [, kind, path = ''] = /^(oci|oci-archive):([^:]+)$/.exec(text) ?? []
  return kind === 'oci' || kind === 'oci-archive' ? { kind, path } : null
}
