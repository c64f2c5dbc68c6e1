import { down } from './cluster-provider.ts'

/** By hand: stops the cluster that up.ts or a test run left behind, if there is one. */
await down()
