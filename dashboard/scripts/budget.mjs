// Fails when what a browser must load for the first screen has grown too big.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const limits = { '.js': 150, '.css': 15 };
const manifest = JSON.parse(readFileSync('dist/.vite/manifest.json', 'utf8'));
const size = (file) => gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length;

const initial = new Set(['theme.js']);
const visit = (key) => {
  const chunk = manifest[key];
  if (initial.has(chunk.file)) return;
  initial.add(chunk.file);
  chunk.css?.forEach((file) => initial.add(file));
  chunk.imports?.forEach(visit);
};
visit('index.html');

for (const [extension, limit] of Object.entries(limits)) {
  const total = [...initial].filter((file) => file.endsWith(extension)).reduce((sum, file) => sum + size(file), 0) / 1024;
  console.log(`initial ${extension.slice(1)}: ${total.toFixed(1)} KiB gzip of ${limit}`);
  if (total > limit) process.exitCode = 1;
}
