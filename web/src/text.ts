/**
 * Stored text is hostile: it may turn the line around, hide itself, or drive a terminal. Whatever
 * does not show is written out.
 */

// Controls but tab and line breaks, marks of direction and invisible characters. The joiners U+200C
// and U+200D stay: scripts and emoji need them.
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const named = (character: string): string =>
  `‹U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}›`;

/** The text on one line, with nothing hidden in it. */
export const line = (text: string): string =>
  text.replace(HIDDEN, named).replace(/[\r\n\t]+/g, ' ');

export interface Piece {
  text: string;
  isHidden: boolean;
}

/** The text cut at what does not show. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > at) found.push({ text: text.slice(at, match.index), isHidden: false });
    found.push({ text: named(match[0]), isHidden: true });
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push({ text: text.slice(at), isHidden: false });
  return found;
}

/** JSON with line breaks, other text as it is. */
export function pretty(text: string): string {
  const isJson = /^\s*[[{]/.test(text);
  if (!isJson) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
