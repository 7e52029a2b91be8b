// Unpacks Chromium, a font, and the libraries that a bare machine lacks into the folder given.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const folder = resolve(process.argv[2]);
mkdirSync(folder, { recursive: true });
process.env.TMPDIR = folder; // where the package unpacks
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs24.x"; // elsewhere it leaves the libraries packed
const { default: chromium } = await import("@sparticuz/chromium");
await chromium.executablePath();

// The package's own file names folders of its cloud. Only this font is used, so that pages look the same anywhere.
const fonts = `<fontconfig><dir>${join(folder, "fonts")}</dir><cachedir>${join(folder, "cache")}</cachedir></fontconfig>`;
writeFileSync(join(folder, "fonts.conf"), `<?xml version="1.0"?>\n${fonts}\n`);
