import type { Status } from '@salus/api';
import { type Html, html, page } from './page.ts';

function organizations(status: Status): Html {
  const rows = status.organizations.map(
    (one) => html`<tr><th scope="row">${one.name}<br><code class="long">${one.did}</code></th><td>${one.role}</td>
<td><code>${one.slug}</code></td><td>${one.hosted ? 'here' : 'elsewhere'}</td></tr>
`,
  );
  return html`<div class="table" role="group" aria-label="Members of this network" tabindex="0"><table>
<caption>Members of this network, with their identifiers on the ledger</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Short name</th><th scope="col">Served</th></tr></thead>
<tbody>
${rows}</tbody></table></div>`;
}

const timeFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'medium', timeZone: 'UTC' });

/** What runs here, for somebody who has just opened the address. */
export function homePage(status: Status): string {
  const time = new Date(status.blockTimeMs).toISOString();
  const sandbox = html`<p class="note">This is a sandbox network: everything in it is made up, and anybody on this machine can act
for anybody. Put no real data into it.</p>`;
  return page(
    { title: 'Salus node', path: '/' },
    html`<h1>A Salus node runs here</h1>
<p>Salus is a health-data network in which patients decide who sees their records. Organisations share one ledger of who may do
what, what was asked, decided and released; the records themselves stay encrypted where they are kept.</p>
${status.sandbox ? sandbox : html``}
<h2>Latest block</h2>
<dl class="facts">
<dt>Height</dt><dd>${status.height}</dd>
<dt>Time</dt><dd><time datetime="${time}">${timeFormat.format(status.blockTimeMs)} UTC</time></dd>
<dt>State root</dt><dd><code class="long">${status.appHash}</code></dd>
<dt>Network</dt><dd>${status.chain}</dd>
<dt>Software</dt><dd>Salus ${status.version}, ${status.engine} engine</dd>
</dl>
<h2>Organisations</h2>
${organizations(status)}
<h2>Where to go next</h2>
<ul>
<li><a href="/api/reference">API reference</a>: everything that can be asked of this node</li>
<li><a href="/api/openapi.json">The same as an OpenAPI document</a>, for tools</li>
<li><a href="/walkthrough">The way of a record</a>: what happens here, explained for newcomers, and how to see it played</li>
<li><code>npx salus --help</code>: all commands</li>
</ul>`,
  );
}
