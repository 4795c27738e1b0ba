/** The pages that a node serves, in a browser, as people with and without mouse, eyesight and a large screen meet them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, type RunningNode, startNode } from '@salus/server';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const paths = ['/', '/walkthrough', '/api/reference'] as const;
const desktop = { width: 1280, height: 900 };
/** 1280 px at 400 % zoom: the width of WCAG 2.2, 1.4.10. */
const narrow = { width: 320, height: 640 };
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

let root: string;
let node: RunningNode;
let browser: Browser;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'salus-browser-'));
  const dataDir = join(root, 'node');
  await createSandbox(dataDir);
  node = await startNode({ dataDir, port: 0, logLevel: 'silent' });
  const executablePath = process.env.SALUS_CHROMIUM ?? '/usr/bin/chromium';
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  browser = await chromium.launch({ executablePath, args: [...args, '--disable-component-update', '--disable-sync'] });
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Opens a page and gives what `look` finds; fails on errors of the page and on calls to anywhere else. */
async function open<T>(path: string, options: BrowserContextOptions, look: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ viewport: desktop, bypassCSP: true, ...options });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => void (message.type() === 'error' && troubles.push(message.text())));
  page.on('pageerror', (error) => void troubles.push(String(error)));
  page.on('request', (request) => void (!request.url().startsWith(node.url) && troubles.push(request.url())));
  try {
    expect((await page.goto(node.url + path))?.status()).toBe(200);
    const found = await look(page);
    expect(troubles).toEqual([]);
    return found;
  } finally {
    await context.close();
  }
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<Violation[]>(
    `axe.run({ runOnly: ${JSON.stringify(tags)} }).then(({ violations }) => violations)`,
  );
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`.slice(0, 500));
}

describe('R-PPL-1 the check itself', () => {
  it('finds what is wrong with a page', async () => {
    const found = await open('/', {}, async (page) => {
      await page.evaluate(
        `document.body.innerHTML = '<img src="data:,"><h4 style="color:#999">Low</h4><a href="/"></a>'; document.documentElement.lang = ''`,
      );
      return await violations(page);
    });
    const ids = found.map((text) => text.split(':')[0]);
    for (const id of ['image-alt', 'color-contrast', 'link-name', 'html-has-lang']) expect(ids).toContain(id);
  });
});

describe.each(paths)('R-PPL-1 %s', (path) => {
  it.each(['light', 'dark'] as const)('has no accessibility violation (WCAG 2.2 AA), %s', async (colorScheme) => {
    expect(await open(path, { colorScheme }, violations)).toEqual([]);
    expect(await open(path, { colorScheme, viewport: narrow }, violations)).toEqual([]);
  });

  it('reflows at 400 % zoom, and with text twice as large', async () => {
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
    const at = (viewport: typeof narrow, style: string) =>
      open(path, { viewport }, async (page) => {
        await page.addStyleTag({ content: style });
        return await page.evaluate<number>(overflow);
      });
    expect(await at(narrow, '* {}')).toBeLessThanOrEqual(0);
    expect(await at({ width: 640, height: 640 }, 'html { font-size: 200% }')).toBeLessThanOrEqual(0);
    // Spacing of WCAG 2.2, 1.4.12.
    const spacing =
      '* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }';
    expect(await at(narrow, spacing)).toBeLessThanOrEqual(0);
  });

  it('has one title, language, main and first heading, and no level of headings is left out', async () => {
    const { lang, title, mains, levels } = await open(path, {}, (page) =>
      page.evaluate<{ lang: string; title: string; mains: number; levels: number[] }>(
        `({ lang: document.documentElement.lang, title: document.title, mains: document.querySelectorAll('main').length,
            levels: [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((one) => Number(one.tagName[1])) })`,
      ),
    );
    expect({ lang, mains, first: levels[0] }).toEqual({ lang: 'en', mains: 1, first: 1 });
    expect(title).toContain('Salus');
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (const [position, level] of levels.entries())
      expect(level - (levels[position - 1] ?? 0)).toBeLessThanOrEqual(1);
  });

  it('is used by keyboard alone: skip link first, focus always seen, everything reached', async () => {
    await open(path, {}, async (page) => {
      const focused = () =>
        page.evaluate<{ text: string; left: number; outline: string; tag: string }>(
          `(() => { const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
            return { text: one.textContent.trim(), left: box.left, outline: style.outlineStyle + parseFloat(style.outlineWidth), tag: one.tagName } })()`,
        );
      await page.keyboard.press('Tab');
      const skip = await focused();
      expect(skip.text).toBe('Skip to content');
      expect(skip.left).toBeGreaterThanOrEqual(0);
      await page.keyboard.press('Enter');
      expect(await focused()).toMatchObject({ tag: 'MAIN' });
      await page.goto('about:blank');
      await page.goto(node.url + path);
      const count = await page.evaluate<number>(`document.querySelectorAll('a[href], [tabindex="0"]').length`);
      for (let n = 0; n < count; n += 1) {
        await page.keyboard.press('Tab');
        const { outline, tag } = await focused();
        expect(tag).not.toBe('BODY');
        expect(outline).toMatch(/^(solid|auto)[1-9.]/);
      }
    });
  });

  it('needs no script, and keeps to its own content security policy', async () => {
    const text = await open(path, { javaScriptEnabled: false }, (page) => page.locator('h1').textContent());
    expect(text?.length).toBeGreaterThan(5);
    const options = { bypassCSP: false };
    expect(await open(path, options, (page) => page.evaluate<number>('document.scripts.length'))).toBe(0);
  });
});

describe('R-PPL-1 links', () => {
  it('lead somewhere, those within a page too', async () => {
    const broken = await open('/api/reference', {}, (page) =>
      page.evaluate<string[]>(
        `[...document.querySelectorAll('a[href^="#"]')].map((one) => one.getAttribute('href')).filter((href) => document.getElementById(decodeURIComponent(href.slice(1))) === null)`,
      ),
    );
    expect(broken).toEqual([]);
    const links = await open('/', {}, (page) =>
      page.evaluate<string[]>(`[...document.querySelectorAll('a[href^="/"]')].map((one) => one.href)`),
    );
    for (const link of links) expect((await fetch(link)).status).toBe(200);
  });
});
