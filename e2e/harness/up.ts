/** `npm run e2e:up`: starts a cluster and leaves it running. The last line of the output is the path of its kubeconfig. */
import { startCluster } from './cluster-provider.ts'
import { log } from './log.ts'

const cluster = await startCluster()
log(`kubectl is ${cluster.kubectl}`)
log('stop the cluster with: npm run e2e:down')
console.log(cluster.kubeconfig)
