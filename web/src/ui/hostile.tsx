/** Stored text, shown as text and nothing else. */
import { useState } from 'preact/hooks';
import { bytes } from '../format';
import { pieces } from '../text';
import { Button } from './button';

/** Characters shown before the reader asks for all. */
const SHOWN_MAX = 100_000;

export function HostileText({ text, label }: { text: string; label?: string }) {
  const [isWhole, setWhole] = useState(false);
  const isCut = text.length > SHOWN_MAX && !isWhole;
  const shown = isCut ? text.slice(0, SHOWN_MAX) : text;
  return (
    <>
      <pre class="hostile" dir="auto" tabIndex={0} role="group" aria-label={label ?? 'Text'}>
        {pieces(shown).map((piece, at) =>
          piece.isHidden ? <mark key={at}>{piece.text}</mark> : piece.text,
        )}
      </pre>
      {isCut && <Button onClick={() => setWhole(true)}>Show all {bytes(text.length)}</Button>}
    </>
  );
}
