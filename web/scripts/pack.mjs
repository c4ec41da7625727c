// Puts a brotli file beside each file of the built app that gains from it, and says what it was
// built from. The bytes depend on the sources alone, so that two builds can be compared.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { hashOfSources } from './sources.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const assets = join(root, 'dist', 'assets');
const COMPRESSED = new Set(['.js', '.css', '.svg']);

for (const name of readdirSync(assets)) {
  if (!COMPRESSED.has(extname(name))) continue;
  const bytes = readFileSync(join(assets, name));
  const packed = brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
  writeFileSync(join(assets, `${name}.br`), packed);
}
writeFileSync(join(root, 'dist', 'sources.sha256'), `${hashOfSources(root)}\n`);
