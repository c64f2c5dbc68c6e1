import { describe, expect, it } from 'vitest'
import { classifyLine } from '../../../src/diagnose/rules/classify.ts'

const image = 'r.example/a:1'
const leaf = `failed to do request: Head "https://r.example/v2/a/manifests/1": dial tcp 203.0.113.7:443: i/o timeout`
const shown = 'Head "https://r.example/v2/a/manifests/1": dial tcp 203.0.113.7:443: i/o timeout'
const pull = `rpc error: code = Unknown desc = failed to pull and unpack image "${image}": failed to resolve reference "${image}": ${leaf}`
const klog = 'E0102 03:04:05.678901    1234'
const quote = (text: string) => JSON.stringify(text)
const startContainer = `failed to "StartContainer" for "web" with ErrImagePull: ${quote(pull)}`

describe('the error for people', () => {
  it.each([
    ['a status', pull],
    ['an Event', `Failed to pull image "${image}": ${pull}`],
    ['kubectl describe', `  Warning  Failed  5m (x3 over 10m)  kubelet  Failed to pull image "${image}": ${pull}`],
    ['kubectl describe without ages', `Warning  Failed  kubelet  Failed to pull image "${image}": ${pull}`],
    ['kubectl get events', `12s  Warning  Failed  pod/web-0  Failed to pull image "${image}": ${pull}`],
    ['kubectl get events -A', `team  12s  Warning  Failed  pod/web-0  Failed to pull image "${image}": ${pull}`],
    ['klog', `${klog} remote_image.go:180] "PullImage from image service failed" err=${quote(pull)} image="${image}"`],
    ['klog of a pod', `${klog} pod_workers.go:1301] "Error syncing pod, skipping" err=${quote(startContainer)} pod="team/web-0" podUID="1f0e"`],
    ['an old kubelet', `Error syncing pod 3ed55839-d24d-482a-a2ea-5fa52af9a07a ("web-0_team(3ed55839-d24d-482a-a2ea-5fa52af9a07a)"), skipping: ${startContainer}`],
    ['the journal', `Jan  2 03:04:05 node-1 kubelet[1234]: ${klog} kuberuntime_image.go:55] "Failed to pull image" err=${quote(pull)} image="${image}"`],
    ['containerd', `time="2026-01-02T03:04:05.678901234Z" level=error msg=${quote(`PullImage "${image}" failed`)} error=${quote(pull)}`],
    ['containerd with a host', `time="2026-01-02T03:04:05Z" level=info msg="trying next host" error=${quote(leaf)} host=r.example`],
    ['a terminal', `ERRO[0003] trying next host                              error=${quote(leaf)} host=r.example`],
    ['containerd as JSON', `{"level":"error","msg":${quote(`PullImage "${image}" failed`)},"error":${quote(pull)}}`],
    ['kubeadm', `[ERROR ImagePull]: failed to pull image ${image}: output: ${klog} remote_image.go:171] "PullImage from image service failed" err=${quote(pull)} image="${image}"`],
    ['a container of JSON', `"message": ${quote(`Back-off pulling image "${image}": ErrImagePull: ${pull}`)}`],
    ['GitLab Runner', `WARNING: Failed to pull image with policy "always": Error response from daemon: ${leaf}`],
    ['Docker', `Error response from daemon: ${leaf}`],
  ])('has nothing of %s around it', (_, line) => {
    expect(classifyLine(line).errors).toEqual([shown])
  }) // prettier-ignore

  it.each([
    'media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported, use "b"',
    'transport: desc = "error while dialing"',
    'short-name "a" did not resolve to an alias and no unqualified-search registries are defined in ""',
    'denied: user=robot has no right to pull',
    'server error - {"message":"no such account"}',
  ])('keeps its own quotes: %s', (message) => {
    expect(classifyLine(`Failed to pull image "${image}": ${message}`).errors).toEqual([message])
  })

  it('never returns an empty text', () => {
    expect(classifyLine('" image="a"').errors).toEqual(['" image="a"'])
  })
})
