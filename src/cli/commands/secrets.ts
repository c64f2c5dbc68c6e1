/** `berth secrets`: what the controller does for pull secrets, once, with a plan first. */
import { stringify } from 'yaml'
import { loadConfig } from '../../config/load.ts'
import { scopesOf } from '../../pull-secrets/cluster/informers.ts'
import { BerthError } from '../../errors.ts'
import { connect } from '../../kube/connect.ts'
import { controllerRbac } from '../../pull-secrets/rbac/controller-rbac.ts'
import { webhookRbac } from '../../pull-secrets/rbac/webhook-rbac.ts'
import { configFile, oneOf, type Parsed, readArguments, text } from '../options.ts'
import { type Command, print } from '../io.ts'
import { checkSecrets } from './secrets-check.ts'
import { planSecrets, syncSecrets } from './secrets-sync.ts'

export const usage =
  'berth secrets check|plan|sync|rbac [--config FILE] [--source NAMESPACE/NAME]… [-n NAMESPACE] [--service-account NAME] [--kubeconfig FILE] [--context NAME] [-o table|json|yaml]'

/** As every manifest of deploy/ names it. */
const webhookAccount = 'berth-webhook'

/** Exits with 0, with 1 when something is lacking, planned or could not be done, and with 3 when the cluster cannot be asked. */
export const secrets: Command = async (args, io) => {
  const { values, positionals } = readArguments(
    args,
    {
      config: { type: 'string' },
      source: { type: 'string', multiple: true },
      namespace: { type: 'string', short: 'n' },
      'service-account': { type: 'string' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      output: { type: 'string', short: 'o' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json', 'yaml'])
  const [verb, ...rest] = positionals
  const verbs = ['check', 'plan', 'sync', 'rbac'] as const
  const known = verbs.find((each) => each === verb)
  if (known === undefined || rest.length > 0)
    throw new BerthError('usage', `say one of ${verbs.join(', ')}\nusage: ${usage}`)
  const sources = sourcesOf(values)
  // What is asked about sources that are given needs no config.
  const settings =
    known === 'check' && sources.length > 0
      ? { copies: [], stuckPods: 'report' as const, rbac: 'cluster' as const }
      : loadConfig(configFile(values)).pullSecretCopies
  if (settings.copies.length === 0 && sources.length === 0)
    throw new BerthError(
      'usage',
      'the config copies no pull secrets; write `pullSecretCopies`, or give --source NAMESPACE/NAME to check',
    )
  const namespace = text(values, 'namespace') ?? null
  if (known === 'rbac') {
    const given = {
      ...settings,
      namespace: namespace ?? 'berth-system',
      scopes: scopesOf(settings),
    }
    const account = text(values, 'service-account') ?? 'berth-controller'
    const manifests = [
      ...controllerRbac({ ...given, account }),
      ...webhookRbac({ ...given, account: webhookAccount }),
    ]
    const documents = manifests.map((manifest) => stringify(manifest)).join('---\n')
    print(io.stdout, output === 'json' ? JSON.stringify(manifests, null, 2) : documents)
    return 0
  }
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  const task = { api: cluster.api, settings, namespace, output, io }
  try {
    if (known === 'check') return await checkSecrets({ ...task, sources })
    return await (known === 'plan' ? planSecrets(task) : syncSecrets(task))
  } finally {
    await cluster.close()
  }
}

function sourcesOf(values: Parsed['values']): { namespace: string; name: string }[] {
  const given = (values['source'] ?? []) as unknown as readonly string[]
  return given.map((each) => {
    const [namespace = '', name = '', more] = each.split('/')
    if (namespace === '' || name === '' || more !== undefined)
      throw new BerthError('usage', `--source ${each} is no source; write NAMESPACE/NAME`)
    return { namespace, name }
  })
}
