/** HTML that has been escaped already. */
export interface Html {
  readonly html: string;
}

type Part = string | number | Html | readonly Html[];

function escapeHtml(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;');
}

function render(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part));
  if ('html' in part) return part.html;
  return part.map((one) => one.html).join('');
}

/** Builds HTML from a template; every value that is not HTML itself is escaped. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  const text = strings.map((string, index) => {
    const part = parts[index];
    return part === undefined ? string : string + render(part);
  });
  return { html: text.join('') };
}

interface Head {
  title: string;
  /** Where the page is: its link in the navigation says that it is the present one. */
  path: string;
}

const pages: readonly [path: string, name: string][] = [
  ['/', 'Salus'],
  ['/walkthrough', 'The way of a record'],
  ['/api/reference', 'API reference'],
];

function navigation(current: string): Html {
  const links = pages.map(([path, name]) =>
    path === current ? html`<a href="${path}" aria-current="page">${name}</a> ` : html`<a href="${path}">${name}</a> `,
  );
  return html`<header><nav aria-label="Pages">${links}</nav></header>`;
}

/** A whole page: no scripts, no external assets, readable at any width and with any reader. */
export function page({ title, path }: Head, body: Html): string {
  return `<!doctype html>\n${
    html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/page.css">
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
${navigation(path)}
<main id="main" tabindex="-1">
${body}
</main>
</body>
</html>
`.html
  }`;
}

/** Contrast at least 7:1 in both colour schemes (WCAG 2.2, 1.4.6); sizes in rem, so that the reader's own apply. */
export const styleSheet = `:root { color-scheme: light dark; --ink: #1b1f24; --soft: #444c56; --paper: #ffffff; --line: #8a929c; --link: #0b4a8f; --box: #f1f4f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f3f6; --soft: #c9d1d9; --paper: #14181d; --line: #7d8590; --link: #9ecbff; --box: #1f252c; } }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header, main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
header { padding-bottom: 0; } header a { display: inline-block; padding: .5rem .75rem .5rem 0; }
a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible, main:focus-visible, .table:focus-visible { outline: .2rem solid var(--link); outline-offset: .15rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .5rem; z-index: 1; }
h1 { font-size: 1.75rem; line-height: 1.25; } h2 { font-size: 1.3rem; margin-top: 2rem; } h3 { font-size: 1.05rem; margin-top: 1.5rem; overflow-wrap: anywhere; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { overflow-wrap: break-word; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
p code, li code, dd code, h3 code, .long, td:last-child { overflow-wrap: anywhere; }
li { overflow-wrap: break-word; } td:last-child { min-width: 8rem; }
th code { font-weight: 400; } th .long { color: var(--soft); }
pre { background: var(--box); padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .6rem; overflow-wrap: anywhere; }
li { margin: .2rem 0; } section { border-top: 1px solid var(--line); } section li { margin: .1rem 0; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; } .facts dd { margin: 0; }
.contents ul { columns: 24rem; padding: 0; list-style: none; } .contents li { break-inside: avoid; margin: 0 0 .6rem; }
.contents li > code { display: block; color: var(--soft); }
.method { font-weight: 400; color: var(--soft); }
.note { background: var(--box); border-left: .3rem solid var(--link); padding: .6rem .9rem; }
`;
