/** A menu that hands the result of a query to the browser as a file. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import { EXPORTS, type ExportKind, exportFile } from '../export';

interface Props {
  name: string;
  /** Its result is the file, whole. */
  csl: string;
  /** What content is read for, where the query reads some. */
  purpose?: string;
}

const KINDS = Object.keys(EXPORTS) as ExportKind[];

export function ExportMenu({ name, csl, purpose = '' }: Props) {
  const [trouble, setTrouble] = useState('');
  const run = async (kind: ExportKind) => {
    setTrouble('');
    try {
      await exportFile(csl, kind, name, purpose);
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <details class="menu">
      <summary class="button">Export</summary>
      <div class="menu-body">
        {KINDS.map((kind) => (
          <button
            type="button"
            class="menu-item"
            key={kind}
            onClick={(event) => {
              event.currentTarget.closest('details')?.removeAttribute('open');
              run(kind);
            }}
          >
            {EXPORTS[kind]}
          </button>
        ))}
      </div>
      {trouble && (
        <p class="trouble" role="alert">
          {trouble}
        </p>
      )}
    </details>
  );
}
