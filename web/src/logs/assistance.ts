/** Completion, meanings and squiggles in the editor; the server's own parser and binder give them. */
import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  completionKeymap,
} from '@codemirror/autocomplete';
import { type Diagnostic, linter, lintKeymap } from '@codemirror/lint';
import { type EditorView, hoverTooltip, keymap, type Tooltip } from '@codemirror/view';
import { type Choice, check, complete, hover } from '../api/language';

const TYPES: Record<Choice['kind'], string> = {
  table: 'class',
  column: 'property',
  variable: 'variable',
  operator: 'keyword',
  function: 'function',
  aggregate: 'function',
  keyword: 'keyword',
};
/** Milliseconds without a key before the query is checked. */
const CHECK_AFTER = 400;

async function source(context: CompletionContext): Promise<CompletionResult | null> {
  const isWord = context.matchBefore(/[\w-]+$/);
  const isBehindMark = context.matchBefore(/[|(,=]\s*$/);
  if (!context.explicit && !isWord && !isBehindMark) return null;
  const control = new AbortController();
  context.addEventListener('abort', () => control.abort());
  try {
    const { from, to, items } = await complete(
      context.state.doc.toString(),
      context.pos,
      control.signal,
    );
    const options = items.map(
      (item): Completion => ({
        label: item.label,
        apply: item.insert,
        detail: item.detail.slice(0, 80),
        type: TYPES[item.kind],
      }),
    );
    return { from, to, options, validFor: /^[\w-]*$/ };
  } catch {
    // No suggestion is better than a message while somebody types.
    return null;
  }
}

async function mistakes(view: EditorView): Promise<Diagnostic[]> {
  const text = view.state.doc.toString();
  if (!text.trim()) return [];
  try {
    const length = text.length;
    return (await check(text)).map(({ from, to, severity, code, message }) => ({
      from: Math.min(from, length),
      to: Math.min(Math.max(to, from), length),
      severity,
      message: `${code}: ${message}`,
    }));
  } catch {
    return [];
  }
}

async function meaning(view: EditorView, place: number): Promise<Tooltip | null> {
  try {
    const { doc } = view.state;
    const { from, to, text } = await hover(doc.toString(), place);
    // What was typed meanwhile has moved the word.
    if (!text || to > doc.length || !view.state.doc.eq(doc)) return null;
    const create = () => {
      const dom = document.createElement('div');
      dom.className = 'hover';
      dom.textContent = text.replace(/[`*]/g, '');
      return { dom };
    };
    return { pos: from, end: to, above: true, create };
  } catch {
    return null;
  }
}

export const assistance = [
  autocompletion({ override: [source], icons: false }),
  linter(mistakes, { delay: CHECK_AFTER }),
  hoverTooltip(meaning),
  keymap.of([...completionKeymap, ...lintKeymap]),
];
