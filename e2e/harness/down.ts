/** `npm run e2e:down`: stops the cluster that `npm run e2e:up` or a test run left behind, if there is one. */
import { stopCluster } from './cluster-provider.ts'

await stopCluster()
