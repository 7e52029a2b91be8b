// Prints the problems of an AsyncAPI document, a line each; status 1 where there is one.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const errors = diagnostics.filter((one) => one.severity === ERROR);
for (const one of errors) {
  console.log(`${one.code} at ${one.path.join(".")}: ${one.message}`);
}
process.exit(document && errors.length === 0 ? 0 : 1);
