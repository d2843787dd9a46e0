// Bundles what package-lock.json pins into handlers/web/vendor/, with the licences of everything that went in.
// The same lock file gives the same bytes.
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../../handlers/web/vendor");

const result = await build({
  absWorkingDir: here,
  entryPoints: { preact: "preact.entry.js", editor: "editor.entry.js", qr: "qr.entry.js" },
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "none",
  metafile: true,
});

const packages = new Set();
for (const output of Object.values(result.metafile.outputs)) {
  for (const [file, part] of Object.entries(output.inputs)) {
    const found = file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found && part.bytesInOutput > 0) packages.add(found[1]);
  }
}

const licences = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} has no licence file: look at it before you ship it`);
  return `${name} ${about.version} (${about.license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
const rule = `\n${"-".repeat(80)}\n\n`;
const head = "preact.js, editor.js and qr.js in this folder are made of these packages (deploy/web-libraries/build.mjs):\n";
writeFileSync(join(target, "LICENCES.txt"), [head, ...licences].join(rule));
for (const [file, output] of Object.entries(result.metafile.outputs)) {
  console.log(`${relative(join(here, "../.."), join(here, file))}: ${output.bytes.toLocaleString("en")} bytes`);
}
