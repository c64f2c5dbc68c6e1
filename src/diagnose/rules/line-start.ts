/** What is before the message in a line of a log or of a list of Events. Pure. */

/**
 * What is before the message in a line: the frame of a terminal, a time, the header of syslog and of klog, and the columns of
 * `kubectl describe` and `kubectl get events`.
 */
const lineStarts: readonly RegExp[] = [
  /^(?:[|*✘✗×>•-] ?)+(?=[\w["'(])/u,
  /^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?\]? +/,
  /^[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d [\w.-]{1,253} [\w.@-]{1,100}(?:\[\d+\])?: /,
  /^(?:kubelet|containerd|crio|dockerd|k3s|rke2)\[\d+\]: /,
  /^\[(?:Warning|Normal)\] /i,
  /^[\w-]{1,253} (?=(?:\d{1,6}[a-z]\w{0,9}|<\w+>) +(?:Warning|Normal) )/,
  /^(?:Warning|Normal) [A-Z]\w{1,60} kubelet(?:, \S{1,253})? /,
  /^(?:Warning|Normal) [A-Z]\w{1,60} (?:\d{1,6}[a-z]\w{0,9}|<\w+>) (?:\(x\d+ over \w+\) )?[\w./-]{1,100}(?:, [\w./-]{1,253})? /,
  /^(?:\d{1,6}[a-z]\w{0,9} )?(?:\(x\d+ over \w+\) )?(?:Warning|Normal) [A-Z]\w{1,60} [A-Za-z]+\/\S{1,253} (?:spec\.\w+\{[^\s}]{1,63}\}:? )?(?:kubelet, \S{1,253} )?/,
  /^[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]{1,100}:\d+\] /,
  /^spec\.(?:initC|c|ephemeralC)ontainers\{[^\s}]{1,63}\}:? /,
  // k8s.io/client-go, tools/record/events_cache.go.
  /^["']?\(combined from similar events\): /,
]

/** Returns the message of a line. */
export function withoutLineStart(line: string): string {
  return lineStarts.reduce((rest, pattern) => rest.replace(pattern, ''), line)
}

/** Returns whether the line is an Event of type Normal, other than the one that repeats a failed pull. */
export function isNormalEvent(line: string): boolean {
  return /^[^\w[]{0,8}(?:[\w.:+()/-]{0,252}[\w.)] +){0,5}(?:\[Normal\]|Normal +[A-Z]\w{1,60}) (?!.{0,400}\bBack-?off pulling)/s.test(
    line,
  )
}
