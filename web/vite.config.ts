import { defineConfig } from 'vite';

/** Where `npm run dev` finds the admin listener of a running gateway. */
const admin = process.env.GATEHOUSE_ADMIN ?? 'http://127.0.0.1:8081';

export default defineConfig({
  // The server puts a fresh value in the place of this word with every page.
  html: { cspNonce: '__NONCE__' },
  build: {
    target: 'es2023',
    outDir: 'dist',
    manifest: 'manifest.json',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: Object.fromEntries(
      ['/v1', '/v2', '/admin', '/auth'].map((path) => [path, { target: admin }]),
    ),
  },
});
