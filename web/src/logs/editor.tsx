/** The KQL editor. Ctrl+Enter runs the selection, or else the whole text. */
import { closeBrackets } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching } from '@codemirror/language';
import { EditorState, type Extension } from '@codemirror/state';
import { drawSelection, EditorView, keymap, lineNumbers, placeholder } from '@codemirror/view';
import type { RefObject } from 'preact';
import { useEffect, useImperativeHandle, useRef } from 'preact/hooks';
import { language } from '../kql/language';

export interface EditorHandle {
  /** What would run: the selection, or else the whole text. */
  wanted: () => string;
  text: () => string;
  setText: (text: string) => void;
  focus: () => void;
}

interface Props {
  text: string;
  handle: RefObject<EditorHandle | null>;
  onRun: () => void;
  /** Completion, hover and squiggles, where the server offers them. */
  assistance: Extension;
}

const look = EditorView.theme({
  '&': { fontSize: '13px', backgroundColor: 'var(--surface)', maxHeight: '46vh' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55', minHeight: '132px' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--muted)', border: 'none' },
  '.cm-content': { caretColor: 'var(--text)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    {
      background: 'var(--accent-weak)',
    },
  '.cm-matchingBracket': { background: 'var(--accent-weak)', outline: '1px solid var(--accent)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--surface)',
    color: 'var(--text)',
    border: '1px solid var(--line)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    background: 'var(--accent)',
    color: 'var(--on-accent)',
  },
  // The library's own underline is an image that the page's policy does not let in.
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--bad)' },
  '.cm-lintRange-warning': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--warn)',
  },
  '.cm-placeholder': { color: 'var(--muted)' },
});

const nonce = (): string =>
  document.querySelector<HTMLElement>('meta[property="csp-nonce"]')?.nonce ?? '';

export function Editor({ text, handle, onRun, assistance }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const run = useRef(onRun);
  run.current = onRun;
  useEffect(() => {
    if (!box.current) return;
    const keys = [
      {
        key: 'Mod-Enter',
        run: () => {
          run.current();
          return true;
        },
      },
    ];
    const state = EditorState.create({
      doc: text,
      extensions: [
        EditorView.cspNonce.of(nonce()),
        keymap.of(keys),
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({
          'aria-label': 'Query',
          spellcheck: 'false',
          tabindex: '0',
        }),
        placeholder('Interactions | take 10'),
        language,
        assistance,
        look,
        keymap.of([...defaultKeymap, ...historyKeymap]),
      ],
    });
    view.current = new EditorView({ state, parent: box.current });
    return () => view.current?.destroy();
  }, []);
  useImperativeHandle(handle, () => ({
    wanted: () => selection(view.current) || whole(view.current),
    text: () => whole(view.current),
    setText: (next) => {
      const changes = { from: 0, to: view.current?.state.doc.length ?? 0, insert: next };
      view.current?.dispatch({ changes });
    },
    focus: () => view.current?.focus(),
  }));
  return <div class="editor" ref={box} />;
}

const whole = (view: EditorView | null): string => view?.state.doc.toString() ?? '';

function selection(view: EditorView | null): string {
  if (!view) return '';
  const { from, to } = view.state.selection.main;
  return view.state.sliceDoc(from, to).trim();
}
