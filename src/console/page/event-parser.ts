/** Parses a stream of server-sent events (HTML, "Server-sent events"), as far as the console sends them. Pure. */

export interface ServerEvent {
  readonly name: string
  readonly data: string
}

/** Returns a function that takes the next text of the stream, and returns the events that are complete. */
export function createEventParser(): (text: string) => ServerEvent[] {
  let rest = ''
  return (text) => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    return blocks.flatMap((block) => {
      const lines = block.split('\n')
      const valueOf = (field: string) =>
        lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2)
      const [name, data] = [valueOf('event'), valueOf('data')]
      return name === undefined || data === undefined ? [] : [{ name, data }]
    })
  }
}
