import { type Html, html, page } from './page.ts';

interface Schema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  description?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  default?: unknown;
  $ref?: string;
}

interface MediaType {
  schema?: Schema;
}

interface Operation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  security?: Record<string, string[]>[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema?: Schema }[];
  requestBody?: { description?: string; content?: Record<string, MediaType> };
  responses?: Record<string, { description?: string; content?: Record<string, MediaType>; $ref?: string }>;
}

export interface OpenApiDocument {
  info: { title: string; version: string; description?: string };
  paths?: Record<string, Record<string, Operation>>;
}

/** Deeper members are left to the OpenAPI document. */
const depthMax = 3;

function typeName(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? 'object';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeName).join(' or ');
  if (schema.items !== undefined) return `list of ${typeName(schema.items)}`;
  return [schema.type ?? 'any'].flat().join(' or ');
}

function limits(schema: Schema): string {
  const parts = [
    schema.description,
    schema.minimum === undefined ? undefined : `at least ${schema.minimum}`,
    schema.maximum === undefined ? undefined : `at most ${schema.maximum}`,
    schema.pattern === undefined ? undefined : `matches ${schema.pattern}`,
    schema.default === undefined ? undefined : `default ${JSON.stringify(schema.default)}`,
  ];
  return parts.filter((part) => part !== undefined).join('; ');
}

function members(schema: Schema, depth = 0): Html {
  const object = schema.items ?? schema;
  if (object.properties === undefined || depth >= depthMax) return html``;
  const required = new Set(object.required ?? []);
  const items = Object.entries(object.properties).map(
    ([name, member]) => html`<li><code>${name}</code>: ${typeName(member)}${required.has(name) ? '' : ', optional'}
${limits(member) === '' ? '' : inline(` — ${limits(member)}`)}${members(member, depth + 1)}</li>
`,
  );
  return html`<ul>
${items}</ul>`;
}

function parameters(operation: Operation): Html {
  const list = operation.parameters ?? [];
  if (list.length === 0) return html``;
  const rows = list.map(
    (one) => html`<tr><th scope="row"><code>${one.name}</code><br><span class="method">${one.in},
${one.required === true ? 'required' : 'optional'}</span></th><td>${typeName(one.schema ?? {})}</td>
<td>${inline([one.description, limits(one.schema ?? {})].filter(Boolean).join('; '))}</td></tr>
`,
  );
  return html`<div class="table" role="group" aria-label="Parameters of ${operation.operationId ?? ''}" tabindex="0"><table>
<caption>Parameters</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
<tbody>
${rows}</tbody></table></div>`;
}

function content(map: Record<string, MediaType> | undefined): Html {
  const parts = Object.entries(map ?? {}).map(
    ([type, media]) => html`<p><code>${type}</code></p>${members(media.schema ?? {})}`,
  );
  return html`${parts}`;
}

function requestBody(operation: Operation): Html {
  const body = operation.requestBody;
  if (body === undefined) return html``;
  return html`<h4>Body</h4><p>${body.description ?? ''}</p>${content(body.content)}`;
}

function responses(operation: Operation): Html {
  const parts = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const told = {
      OperationOutcome: 'an OperationOutcome of FHIR',
      Problem: 'problem details, as described at the top',
    };
    const name = response.$ref?.split('/').at(-1);
    const text =
      name === undefined ? (response.description ?? '') : told[name === 'OperationOutcome' ? name : 'Problem'];
    return html`<dt>${status}</dt><dd>${text}${content(response.content)}</dd>
`;
  });
  return html`<h4>Answers</h4><dl>
${parts}</dl>`;
}

function securityText(operation: Operation): string {
  const names = (operation.security ?? []).flatMap((one) => Object.keys(one));
  return names.length === 0 ? 'No token needed.' : `Needs a token: ${names.join(' or ')}.`;
}

/** Text in which parts between backquotes are code. */
function inline(text: string): Html {
  const parts = text
    .split('`')
    .map((part, position) => (position % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
  return html`${parts}`;
}

function headingOf(tag: string): string {
  return tag.slice(0, 1).toUpperCase() + tag.slice(1);
}

/** What links lead to: unique, because a path has each method once. */
function anchorOf({ method, path, operation }: Entry): string {
  return operation.operationId ?? `${method}-${path}`;
}

function section({ method, path, operation }: Entry): Html {
  return html`<section>
<h3 id="${anchorOf({ method, path, operation })}">${inline(operation.summary ?? '')}<br>
<code class="method">${method.toUpperCase()} ${path}</code></h3>
<p>${inline(operation.description ?? '')} ${securityText(operation)}</p>
${parameters(operation)}
${requestBody(operation)}
${responses(operation)}
</section>
`;
}

interface Entry {
  method: string;
  path: string;
  operation: Operation;
}

function byTag(document: OpenApiDocument): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? 'other';
      groups.set(tag, [...(groups.get(tag) ?? []), { method, path, operation }]);
    }
  }
  return groups;
}

/** The OpenAPI document as a page for people: no scripts, no external assets. */
export function referencePage(document: OpenApiDocument): string {
  const groups = [...byTag(document)];
  const contents = groups.map(([tag, entries]) => {
    const items = entries.map((entry) => {
      const { method, path, operation } = entry;
      return html`<li><a href="#${anchorOf(entry)}">${inline(operation.summary ?? path)}</a>
<code>${method.toUpperCase()} ${path}</code></li>
`;
    });
    return html`<h3>${headingOf(tag)}</h3>
<ul>
${items}</ul>
`;
  });
  const sections = groups.map(
    ([tag, entries]) => html`<h2>${headingOf(tag)}</h2>
${entries.map(section)}`,
  );
  return page(
    { title: 'API reference of this Salus node', path: '/api/reference' },
    html`<h1>API reference</h1>
<p>${document.info.description ?? ''} Version ${document.info.version}. Tools read the same from
<a href="/api/openapi.json">/api/openapi.json</a>.</p>
<p>Errors are problem details (RFC 9457, <code>application/problem+json</code>): <code>code</code> is a stable number and
<code>advice</code> says what to do next. Every answer has an <code>x-request-id</code>.</p>
<nav class="contents" aria-labelledby="contents"><h2 id="contents">Contents</h2>
${contents}</nav>
${sections}`,
  );
}
