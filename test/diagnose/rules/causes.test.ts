import { describe, expect, it } from 'vitest'
import { classify } from '../../../src/diagnose/rules/classify.ts'

/** Texts that the sources named in the rules' comments produce. */
const messages: readonly (readonly [string, string])[] = [
['D78','E0102 03:04:05.678901    1234 plugin.go:416] "Failed to provide credentials for image" err="failed to get credential from external registry credential provider: error execing credential provider plugin ecr-credential-provider for image 111122223333.dkr.ecr.us-east-1.amazonaws.com/app: fork/exec /usr/bin/ecr-credential-provider: no such file or directory" provider="ecr-credential-provider" image="111122223333.dkr.ecr.us-east-1.amazonaws.com/app"'],
['D78','error execing credential provider plugin ecr-credential-provider for image x.dkr.ecr.us-east-1.amazonaws.com/a: exit status 1: operation error ECR: GetAuthorizationToken, get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found, operation error ec2imds: GetMetadata, exceeded maximum number of attempts'],
['D78','error execing credential provider plugin ecr-credential-provider for image x.dkr.ecr.us-east-1.amazonaws.com/a: context deadline exceeded'],
['D78','error execing credential provider plugin acr-credential-provider for image x.azurecr.io/a: exit status 1: dial tcp: lookup login.microsoftonline.com: no such host'],
['D78','failed to get service account token: credential provider plugin'],
['D68','failed to get image from containerd "sha256:0123456789abcdef": image "registry.example/app:1": not found'],
['D68','Error: failed to create containerd container: error unpacking image: failed to extract layer sha256:ab: failed to get reader from content store: content digest sha256:ab: not found'],
['D68','image not known'],
['D79','ImageVolumeMountFailed: failed to ensure image subpath "models" in "/run/x": lstat: no such file or directory'],
['D79','failed to generate container "ab" spec: failed to generate spec: failed to mkdir "": mkdir : no such file or directory'],
['D36','Error response from daemon: missing signature key'],
['D25','toomanyrequests: too many failed login attempts for username or IP address'],
['D80','denied: Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.'],
['D80','unauthorized: access token has insufficient scopes'],
['D25','unauthorized: your account must log in with a Personal Access Token (PAT) - learn more at docs.docker.com/go/access-tokens'],
['D66','failed to resolve reference "us-docker.pkg.dev/p/r/a:1": unexpected status from HEAD request to https://us-docker.pkg.dev/v2/p/r/a/manifests/1: 403 Forbidden: Request is prohibited by organization\'s policy. vpcServiceControlsUniqueIdentifier: abc'],
['D66','failed to pull and unpack image "registry.k8s.io/pause:3.9": failed to resolve reference "registry.k8s.io/pause:3.9": unexpected status from HEAD request to https://us-west2-docker.pkg.dev/v2/k8s-artifacts-prod/images/pause/manifests/3.9: 403 Forbidden'],
['D66','failed to resolve reference "registry.k8s.io/ingress-nginx/controller:v1": pulling from host registry.k8s.io failed with status code [manifests v1]: 403 Forbidden'],
['D81','tls: failed to verify certificate: x509: certificate specifies an incompatible key usage'],
['D81','tls: failed to verify certificate: x509: certificate is not authorized to sign other certificates'],
['D81','tls: failed to verify certificate: x509: a root or intermediate certificate is not authorized to sign for this name: DNS name "r.example" is not permitted by any constraint'],
['D81','x509: certificate signed by unknown authority (possibly because of "x509: cannot verify signature: insecure algorithm SHA1-RSA" while trying to verify candidate authority certificate "ca")'],
['D81','tls: failed to parse certificate from server: x509: negative serial number'],
['D81','x509: too many intermediates for path length constraint'],
['D81','x509: unhandled critical extension'],
['D81','x509: invalid signature: parent certificate cannot sign this kind of certificate'],
['D81','tls: failed to parse certificate from server: x509: invalid key usage'],
['D47','x509: certificate signed by unknown authority (possibly because of "crypto/rsa: verification error" while trying to verify candidate authority certificate "ca")'],
['D47','tls: failed to verify certificate: x509: certificate signed by unknown authority'],
['D48','tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z'],
['D48','tls: failed to verify certificate: x509: certificate is valid for a.example, not b.example'],
['D48',"x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs"],
['D48','x509: certificate relies on legacy Common Name field, use SANs instead'],
['D82','failed to do request: Head "mirror.corp/v2/app/manifests/1": unsupported protocol scheme ""'],
['D82','parse "10.0.0.1:5000": first path segment in URL cannot contain colon'],
['D82','parse "://mirror": missing protocol scheme'],
['D82','parse "https://mirror.corp:5000x": invalid port ":5000x" after host'],
['D53','dial tcp [2600:1f18::1]:443: connect: network is unreachable'],
['D53','dial tcp [2600:1f18::1]:443: connect: cannot assign requested address'],
['D83','failed to do request: Head "https://r.example/v2/a/manifests/1": dial tcp 10.0.0.1:443: socket: permission denied'],
['D83','dial tcp 10.0.0.1:443: connect: operation not permitted'],
['D69','Get "https://r.example/v2/": stopped after 10 redirects'],
['D84','failed to pull and unpack image "r.example/a:1": failed to copy: ref layer-sha256:ab locked for 1m2.3s (since 2026-01-01 00:00:00 +0000 UTC m=+1.0): unavailable'],
['D85','open /var/lib/containerd/io.containerd.content.v1.content/ingest/x: too many open files'],
['D85','failed to extract layer sha256:ab: exit status 1: unpigz: signal: killed'],
['D85','rpc error: code = ResourceExhausted desc = grpc: received message larger than max (16788000 vs. 16777216)'],
['D86','snapshotter overlayfs not available: "overlayfs" snapshotter cannot be enabled for "/var/lib/rancher/k3s/agent/containerd", try using "fuse-overlayfs" or "native": failed to mount overlay: operation not permitted'],
['D86','failed to create containerd container: snapshotter "overlayfs" doesn\'t support idmap mounts on this host, configure `slow_chown` to allow a slower and expensive fallback'],
['D86','snapshotter windows was not found: not found'],
['D86','failed to pull and unpack image "r.example/a:1": snapshotter nydus was not found: not found'],
['D86','connection error: desc = "transport: Error while dialing: dial unix /run/containerd-stargz-grpc/containerd-stargz-grpc.sock: connect: no such file or directory"'],
['D86','error unpacking image: failed to resolve snapshotter: snapshotter not loaded: soci: invalid argument'],
['D68','Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox "ab": failed to create containerd container: error unpacking image: failed to extract layer sha256:ab: failed to get reader from content store: content digest sha256:ab: not found'],
['D13','Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image "registry.k8s.io/pause:3.9": failed to resolve reference "registry.k8s.io/pause:3.9": dial tcp 1.2.3.4:443: i/o timeout'],
['D77','failed to resolve reference "111122223333.dkr.ecr.us-east-1.amazonaws.com/a:1": unexpected status from HEAD request to https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/a/manifests/1: 403 Forbidden'],
['D21','failed to resolve reference "public.ecr.aws/a/b:1": unexpected status from HEAD request to https://public.ecr.aws/v2/a/b/manifests/1: 403 Forbidden: denied: Your authorization token has expired. Reauthenticate and try again.'],
['D30','failed to resolve reference "public.ecr.aws/a/b:1": unexpected status from HEAD request to https://public.ecr.aws/v2/a/b/manifests/1: 403 Forbidden'],
] // prettier-ignore

describe('a message', () => {
  it.each(messages)('has rule %s: %s', (rule, message) => {
    expect(classify(message).rule.id).toBe(rule)
  })
})

describe('the fix', () => {
  const plugin = 'error execing credential provider plugin ecr-credential-provider for image r.example/a: '

  it.each([
    [`${plugin}fork/exec /usr/bin/ecr-credential-provider: no such file or directory`, /^install the plugin/],
    [`${plugin}exit status 1: no EC2 IMDS role found`, /^give the node an identity/],
    [`${plugin}exit status 1: dial tcp: lookup api.ecr.us-east-1.amazonaws.com: no such host`, /resolver/],
    [`${plugin}exit status 1: AccessDeniedException: not authorized to perform: ecr:GetAuthorizationToken`, /^allow the node's identity/],
    [`${plugin}context deadline exceeded`, /^open the network path/],
    [`${plugin}exit status 2`, /^run the plugin by hand/],
    ['failed to get credential from external registry credential provider: failed to get service account token: audience "a" not found', /tokenAttributes/],
    ['toomanyrequests: too many failed login attempts for username or IP address', /not a pull limit/],
    ['unexpected status from HEAD request to https://public.ecr.aws/v2/a/b/manifests/1: 403 Forbidden', /public\.ecr\.aws/],
    ['unexpected status from HEAD request to https://ghcr.io/v2/a/b/manifests/1: 403 Forbidden', /read:packages/],
    ['unexpected status from HEAD request to https://quay.io/v2/a/b/manifests/1: 403 Forbidden', /^grant the account/],
    ['dial tcp [2600:1f18::1]:443: connect: network is unreachable', /IPv6/],
    ['x509: cannot verify signature: insecure algorithm SHA1-RSA', /SHA-256/],
    ['open /x: too many open files', /LimitNOFILE/],
  ])('is specific for: %s', (message, fix) => {
    expect(classify(message).fix).toMatch(fix)
  })
}) // prettier-ignore
