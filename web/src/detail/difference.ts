/** Lines that two texts share, and those that one of them lacks. */
export interface DiffLine {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

/** Lines of each text that are compared; the table of the comparison grows with their product. */
export const LINES_MAX = 1500;

/** The shortest way from one text to the other, by the longest common subsequence of lines. */
export function difference(before: string, after: string): DiffLine[] {
  const [left, right] = [linesOf(before), linesOf(after)];
  const width = right.length + 1;
  // common[i * width + j]: length of what left[i..] and right[j..] share.
  const common = new Uint16Array((left.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    const [gone, fresh] = [left[i], right[j]];
    if (gone !== undefined && gone === fresh) {
      lines.push({ kind: 'same', text: gone });
      [i, j] = [i + 1, j + 1];
    } else if (gone !== undefined && (fresh === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: 'gone', text: gone });
      i += 1;
    } else {
      lines.push({ kind: 'new', text: fresh ?? '' });
      j += 1;
    }
  }
  return lines;
}

/** A text that is empty has no line, not an empty one. */
const linesOf = (text: string): string[] =>
  text === '' ? [] : text.split('\n').slice(0, LINES_MAX);
