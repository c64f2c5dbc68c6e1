/** Removes what runtimes, the kubelet and loggers put around an error. For people: rules read the whole text. Pure. */
import { withoutLineStart } from './line-start.ts'

const prefixes: readonly RegExp[] = [
  /^"?Error syncing pod(?: [\w-]{1,64} \("[^"]{1,400}"\))?,? skipping"?:? (?:err=)?"?/i,
  /^"?PullImage from image service failed"? (?:err=)?"?/i,
  /^failed to "StartContainer" for "[^"]*" with \w+: "?/i,
  /^(?:Failed to pull image|Back-off pulling image|PullImage|Failed to inspect image) "[^"]*"(?: from image service failed| failed)?: ?/i,
  /^(?:ErrImagePull|ImagePullBackOff|ImageInspectError|RegistryUnavailable|SignatureValidationFailed|Error|ERROR|FATA\[\d+\]|ctr|docker): "?/,
  /^rpc error: code = \w+ desc = /,
  // GitLab Runner.
  /^(?:WARNING: )?(?:Event retrieved from the cluster: |Failed to pull image with policy "[^"]{1,40}": )/,
  /^(?:pulling image(?: failed)?|unable to pull image(?: or OCI artifact)?|failed to pull (?:and unpack )?image "[^"]*"|failed to pull image): /i,
  /^failed to res(?:o|ol)ve (?:reference|image)(?: "[^"]*")?: /i,
  /^failed to copy: |^httpRead(?:er)?Seeker: |^failed open: |^failed to do request: |^no available registry endpoint: /i,
  /^(?:error )?initializing (?:image from )?source docker:\/\/\S+: /i,
  /^(?:error )?reading manifest \S+ in \S+: /i,
  /^(?:error )?pinging (?:docker|container) registry \S+: /i,
  /^Error response from daemon: /i,
  // kubeadm, and the loggers of containerd, CRI-O and the kubelet: logrus, klog and JSON.
  /^\[(?:ERROR|WARNING) ImagePull\]: failed to pull image \S{1,400}: output: /,
  /^(?:INFO|WARN|ERRO|FATA|DEBU)\[[\w:.+-]{1,40}\] /,
  /^time="?[^"\s]{1,60}"? (?=level=)/,
  /^(?:level=\w{1,10} )?msg="(?:[^"=]{1,200}$)?/,
  /^"?[^"={}]{1,80}(?:"[^"]{1,400}")?[^"={}]{0,80}"? (?:err|error)="/,
  /^\{?(?:"(?:level|ts|time|caller)": ?[^,{}]{1,80}, ?)*"(?:error|err|message)": ?"/,
  /^\{?(?:"(?:level|ts|time|caller)": ?[^,{}]{1,80}, ?)*"msg": ?"[^"{}]{1,80}(?:"[^"]{1,400}")?[^"{}]{0,80}", ?/,
]

/** The key-value pairs of a logger after the error. */
const loggerFields =
  /(?<=")(?: (?:image|imageRef|host|pod|podUID|containerName|namespace|id|remote|provider)=(?:"[^"]{0,400}"|[^\s"]{1,400}))+$/

const jsonStart = /^\{?"(?:level|ts|time|caller|msg|message|error|err)": ?/
const jsonEnd = /(?<=")(?:, ?"(?:level|ts|time|caller|image)": ?[^,{}]{1,400})*[,}]?$/

/** Returns the innermost error, as far as the prefixes are known. */
export function innermostError(error: string): string {
  const start = error.trim()
  let text = start.replace(jsonStart.test(start) ? jsonEnd : loggerFields, '')
  let before = ''
  while (text !== before) {
    before = text
    text = prefixes.reduce((rest, prefix) => rest.replace(prefix, ''), withoutLineStart(text))
  }
  text = withoutOpenQuotes(text)
  return /\w/.test(text) ? text : start
}

/** Removes the quotes at the end whose other half was in a prefix. */
function withoutOpenQuotes(text: string): string {
  const rest = text.replace(/"+$/, '')
  if (rest === text || /(?:[\s=:([]|^)$/.test(rest)) return text
  const isOpen = rest.split('"').length % 2 === 0
  return isOpen ? `${rest}"` : rest
}
