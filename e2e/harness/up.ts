import { up } from './cluster-provider.ts'

/** By hand: starts a cluster and leaves it running. The last line of the output is the path of its kubeconfig. */
const cluster = await up()
console.log(`e2e: kubectl is ${cluster.kubectl}`)
console.log(`e2e: stop it with: node e2e/harness/down.ts`)
console.log(cluster.kubeconfig)
