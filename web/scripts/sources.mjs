// What the built app is made from, as one hash: SHA-256 over each file's path, size and bytes.
// `cargo xtask tidy` computes the same without Node.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const FILES = [
  'index.html',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vite.config.ts',
];
const FOLDERS = ['public', 'scripts', 'src'];

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

export function hashOfSources(root) {
  const files = [
    ...FILES.map((file) => join(root, file)),
    ...FOLDERS.flatMap((folder) => [...walk(join(root, folder))]),
  ];
  const named = files.map((file) => [relative(root, file).split(sep).join('/'), file]);
  named.sort(([left], [right]) => (left < right ? -1 : 1));
  const hash = createHash('sha256');
  for (const [name, file] of named) {
    const bytes = readFileSync(file);
    hash.update(`${name}\n${bytes.length}\n`);
    hash.update(bytes);
  }
  return hash.digest('hex');
}
