import { type Html, html, page } from './page.ts';

interface Step {
  title: string;
  text: string;
  /** Operations of the interface by which it is done, as the reference names them. */
  operations: readonly string[];
}

const steps: readonly Step[] = [
  {
    title: 'Records come in',
    text: 'A hospital and a clinic each import what they know of the same person, under record numbers and names of their own. Each encrypts its part. The ledger gets salted fingerprints of it: enough to prove later that nothing was changed, and nothing to read.',
    operations: ['importRecords'],
  },
  {
    title: 'The patient links a wallet',
    text: 'Staff check who the person is and give them a code. The wallet makes keys that only it has. At each organisation it goes by another name, so that nobody can put the parts together from the ledger.',
    operations: ['createLinkingCode', 'openLink', 'confirmLink'],
  },
  {
    title: 'A doctor elsewhere asks',
    text: 'Before anything is permitted, the answer to the doctor is the one for a person who does not exist. The doctor asks, with a purpose. That something was asked is on the ledger; what was asked is sealed to patient and hospital.',
    operations: ['createAccessRequest', 'getAccessRequest'],
  },
  {
    title: 'The patient decides',
    text: 'The wallet shows the question and signs yes or no: how much, how long, how often. No key of any organisation can make that signature, so no organisation, and nobody who breaks into one, can approve in the patient’s place.',
    operations: ['walletRequests', 'submitTransaction'],
  },
  {
    title: 'The doctor reads',
    text: 'The access is on the ledger before the first byte leaves the hospital. The patient may take the permission back at any moment, and it ends with the next block.',
    operations: ['exportRecords', 'history'],
  },
  {
    title: 'The patient sees who looked',
    text: 'Every access, with who, when and why. The ledger counts them, so that a list with one left out does not pass.',
    operations: ['accounting'],
  },
  {
    title: 'Anybody checks it, offline',
    text: 'A receipt is one small file. It proves that something is on the ledger, or that something is not, to whoever has it, without asking anybody, also when the node that gave it is gone.',
    operations: ['getReceipt', 'getAnchor', 'getState'],
  },
];

function stepHtml({ title, text, operations }: Step): Html {
  const links = operations.map((id) => html`<a href="/api/reference#${id}">${id}</a> `);
  return html`<li><h3>${title}</h3>
<p>${text}</p>
<p>Done by: ${links}</p></li>
`;
}

/** The main job for somebody who has never seen a ledger, and how to see it played on this node. */
export function walkthroughPage(address: string, isSandbox: boolean): string {
  const command = `npx salus walkthrough --url ${address}`;
  const play = html`<h2>See it played on this node</h2>
<p>In the directory of the checkout, on the machine where this node runs:</p>
<pre><code>${command}</code></pre>
<p>It plays everything below with made-up patients, says at each step what it means, tries to forge what only the patient may
sign, and leaves receipts for you to check and to tamper with. Add <code>--data</code> with the node’s data directory where it is
not <code>.data</code>.</p>`;
  const other = html`<h2>See it played</h2>
<p>Only a sandbox network can play it, because it speaks for made-up people: <code>npx salus walkthrough</code> starts one of its
own and removes it afterwards.</p>`;
  return page(
    { title: 'The way of a record – Salus', path: '/walkthrough' },
    html`<h1>The way of a record</h1>
<p>A ledger is a list that several organisations keep together. Everybody has a copy, nobody can change or remove a line without
all others noticing, and no line holds anything readable about a person. Here it holds who may see what, what was asked, decided
and released. The records themselves stay encrypted at whoever keeps them.</p>
${isSandbox ? play : other}
<h2>What happens</h2>
<ol>
${steps.map(stepHtml)}</ol>`,
  );
}
