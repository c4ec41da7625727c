/** A plain table for results of bounded size. */
import type { ComponentChildren } from 'preact';

export interface TableColumn<T> {
  name: string;
  isNumber?: boolean;
  show: (row: T) => ComponentChildren;
}

interface Props<T> {
  label: string;
  columns: readonly TableColumn<T>[];
  rows: readonly T[];
  keyOf: (row: T, at: number) => string;
  /** In a narrow window the cells of a row stand below each other, so that nothing scrolls sideways. */
  isStacked?: boolean;
}

export function Table<T>({ label, columns, rows, keyOf, isStacked }: Props<T>) {
  const look = isStacked ? 'table-scroll table-stacked' : 'table-scroll';
  return (
    <div class={look} role="group" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" class={column.isNumber ? 'number' : undefined}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={keyOf(row, at)}>
              {columns.map((column) => (
                <td
                  key={column.name}
                  class={column.isNumber ? 'number' : undefined}
                  data-name={isStacked ? column.name : undefined}
                >
                  {column.show(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
