/** A plain table for results of bounded size. In a narrow window the cells of a row stand below each other. */
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
}

export function Table<T>({ label, columns, rows, keyOf }: Props<T>) {
  return (
    <div class="table-scroll" role="group" aria-label={label} tabIndex={0}>
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
                  data-name={column.name}
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
