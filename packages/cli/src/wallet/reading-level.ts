const levelMin = 1;
const levelMax = 20;
/** Names of parties and moments are read as one short word each: nobody spells them out. */
const identifier = /did:salus:[A-Za-z0-9_-]+|\d{4}-\d{2}-\d{2}T[0-9:.]+Z/g;

/**
 * School years that a reader of the text needs, from 1 to 20: the Automated Readability Index (Senter and Smith, 1967,
 * AMRL-TR-66-220), from letters a word and words a sentence.
 */
export function readingLevelOf(text: string): number {
  const words = text.replace(identifier, 'name').match(/[\p{L}\p{N}]+/gu) ?? [];
  const sentences = Math.max(1, text.replace(identifier, 'name').match(/[.!?](\s|$)/g)?.length ?? 0);
  if (words.length === 0) return levelMin;
  const letters = words.join('').length;
  const level = 4.71 * (letters / words.length) + 0.5 * (words.length / sentences) - 21.43;
  return Math.min(levelMax, Math.max(levelMin, Math.ceil(level)));
}
