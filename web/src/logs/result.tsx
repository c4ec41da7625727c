/** The rows of a result, drawn as they come into view; one row opens beside its columns' names. */
import { useState } from 'preact/hooks';
import type { Cell, Column, Table } from '../api/kusto';
import * as format from '../format';
import { line, pretty } from '../text';
import { Dialog } from '../ui/dialog';
import { HostileText } from '../ui/hostile';
import { VirtualList } from '../ui/virtual';

const ROW_HEIGHT = 32;
/** Characters of a cell that are shown in the list. */
const CELL_MAX = 300;
const NUMBERS = new Set(['long', 'int', 'real', 'decimal']);

const WIDTHS: Record<string, string> = {
  datetime: '194px',
  bool: '80px',
  long: '120px',
  int: '120px',
  real: '120px',
  decimal: '140px',
  timespan: '140px',
  guid: '290px',
};

interface Numbered {
  at: number;
  cells: Cell[];
}

const shown = (cell: Cell | undefined, column: Column): string =>
  line(format.cell(cell, column.type).slice(0, CELL_MAX));

export function ResultTable({ table }: { table: Table }) {
  const [open, setOpen] = useState<Numbered | null>(null);
  const template = table.columns.map(({ type }) => WIDTHS[type] ?? 'minmax(160px, 1fr)').join(' ');
  const rows = table.rows.map((cells, at) => ({ at, cells }));
  const className = (column: Column) => (NUMBERS.has(column.type) ? 'number' : undefined);
  return (
    <>
      <VirtualList
        label="Result"
        rows={rows}
        rowHeight={ROW_HEIGHT}
        template={template}
        head={table.columns.map((column) => (
          <div key={column.name} role="columnheader" class={className(column)} title={column.type}>
            {line(column.name)}
            {column.type === 'datetime' && ` (${format.zoneName()})`}
          </div>
        ))}
        cells={({ cells }) =>
          table.columns.map((column, at) => (
            <div key={column.name} role="gridcell" class={className(column)}>
              {shown(cells[at], column)}
            </div>
          ))
        }
        onOpen={setOpen}
      />
      {open && <Row table={table} row={open} onClose={() => setOpen(null)} />}
    </>
  );
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}$/;

function Row(props: { table: Table; row: Numbered; onClose: () => void }) {
  const { table, row, onClose } = props;
  return (
    <Dialog title={`Row ${row.at + 1}`} onClose={onClose}>
      <dl class="row-facts">
        {table.columns.map((column, at) => {
          const text = format.cell(row.cells[at], column.type);
          return (
            <div key={column.name}>
              <dt>{line(column.name)}</dt>
              <dd>
                {column.name === 'CorrelationId' && ID.test(text) ? (
                  <a href={`/requests/${text}`}>{text}</a>
                ) : (
                  <HostileText label={column.name} text={pretty(text) || '–'} />
                )}
              </dd>
            </div>
          );
        })}
      </dl>
    </Dialog>
  );
}
