import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { defineConfig, type Plugin } from 'vite'

const page = (name: string): string => resolve(import.meta.dirname, `${name}.html`)

/** Everything the pages are built from; tests compare its hash with the one in the build. */
function sources(): string[] {
  const below = (folder: string): string[] => readdirSync(resolve(import.meta.dirname, folder)).map((name) => `${folder}/${name}`)
  return ['audit.html', 'index.html', 'package-lock.json', 'signin.html', 'study.html', 'vite.config.ts', ...below('public'), ...below('src')].sort()
}

function stamp(): Plugin {
  return {
    name: 'stamp',
    generateBundle() {
      const hash = createHash('sha256')
      for (const name of sources()) hash.update(`${name}\0`).update(readFileSync(resolve(import.meta.dirname, name)))
      this.emitFile({ type: 'asset', fileName: 'sources.sha256', source: `${hash.digest('hex')}\n` })
    },
  }
}

export default defineConfig({
  plugins: [stamp()],
  resolve: { alias: [{ find: /^numcodecs\/.*$/, replacement: resolve(import.meta.dirname, 'src/none.ts') }] },
  build: {
    outDir: '../lvo/web/static',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
    rollupOptions: { input: { audit: page('audit'), index: page('index'), study: page('study'), signin: page('signin') } },
  },
})
