// Generates a client of each OpenAPI document that is named after the folder for them.
import { createClient } from "@hey-api/openapi-ts";

const [folder, ...documents] = process.argv.slice(2);
for (const input of documents) {
  const name = /openapi-(\w+)\.json$/.exec(input)[1];
  await createClient({ input, output: { path: `${folder}/${name}`, module: { extension: ".ts" } }, logs: "silent" });
}
