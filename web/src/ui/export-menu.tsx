/** A menu that hands rows to the browser as a file. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import type { Table } from '../api/kusto';
import { download, EXPORTS, type ExportKind } from '../export';

interface Props {
  name: string;
  /** The rows, read when they are asked for. */
  read: () => Promise<Table>;
}

const KINDS = Object.keys(EXPORTS) as ExportKind[];

export function ExportMenu({ name, read }: Props) {
  const [trouble, setTrouble] = useState('');
  const run = async (kind: ExportKind) => {
    setTrouble('');
    try {
      download(await read(), kind, name);
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
            {EXPORTS[kind].name}
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
