import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Real data that tests and benches use where it is; it is never copied into the project. */
const root = process.env.SALUS_DATA ?? join(import.meta.dirname, '../../../../../shared/data');

function filesUnder(folder: string, ending: string): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(path, name));
}

/** Synthea bundles, hospitals and practitioners included. */
export function syntheaFiles(): string[] {
  return filesUnder('synthea-fhir-r4', '.json.gz');
}

/** Examples of the R4 specification and of US Core. */
export function exampleFiles(): string[] {
  return [...filesUnder('fhir-r4-examples', '.json'), ...filesUnder('us-core-3.0.0-examples', '.json')];
}

export function unzipped(file: string): unknown {
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8'));
}
