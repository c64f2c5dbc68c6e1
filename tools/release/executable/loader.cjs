// Starts Berth in the single-file executable, in its main thread and in its workers: loads the code from the assets, each chunk
// when it is needed. A single script with all code would take three times as long to start.
const { createRequire, isBuiltin } = require('node:module')
const { dirname, join } = require('node:path')
const sea = require('node:sea')
const vm = require('node:vm')
const { isMainThread } = require('node:worker_threads')

const requireBuiltin = createRequire(process.execPath)
const modules = new Map()

function load(name) {
  const known = modules.get(name)
  if (known !== undefined) return known.exports
  const module = { exports: {} }
  modules.set(name, module)
  // There is no such file. The code derives only addresses of files from it that it does not read.
  const filename = join(dirname(process.execPath), 'dist', name)
  const parameters = ['module', 'exports', 'require', '__filename', '__dirname']
  const options = {
    filename,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }
  const compiled = vm.compileFunction(sea.getAsset(`dist/${name}`, 'utf8'), parameters, options)
  compiled(module, module.exports, requireFrom, filename, dirname(filename))
  return module.exports
}

function requireFrom(name) {
  return isBuiltin(name) ? requireBuiltin(name) : load(name.replace(/^\.\//, ''))
}

load(isMainThread ? 'main.cjs' : 'config-worker.cjs')
