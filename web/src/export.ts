/** Results as files. A spreadsheet must not take stored text for a formula. */
import type { Cell, Table } from './api/kusto';

const BEGINS_FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

const textOf = (cell: Cell | undefined): string => {
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
};

/** A field of CSV (RFC 4180). Text that a spreadsheet would compute gets an apostrophe in front. */
function field(cell: Cell | undefined): string {
  const isText = typeof cell === 'string' && !/^-?\d+(\.\d+)?$/.test(cell);
  const text = textOf(cell);
  const guarded = isText && BEGINS_FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n\t]|^\s|\s$/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

export function toCsv(table: Table): string {
  const head = table.columns.map(({ name }) => field(name)).join(',');
  const rows = table.rows.map((row) => table.columns.map((_, at) => field(row[at])).join(','));
  return `${[head, ...rows].join('\r\n')}\r\n`;
}

export function toNdjson(table: Table): string {
  const names = table.columns.map(({ name }) => name);
  return table.rows
    .map(
      (row) => `${JSON.stringify(Object.fromEntries(names.map((name, at) => [name, row[at]])))}\n`,
    )
    .join('');
}

export const EXPORTS = {
  csv: { name: 'CSV', type: 'text/csv', make: toCsv },
  ndjson: { name: 'NDJSON', type: 'application/x-ndjson', make: toNdjson },
} as const;

export type ExportKind = keyof typeof EXPORTS;

/** Hands a table to the browser as a file. */
export function download(table: Table, kind: ExportKind, name: string): void {
  const { make, type } = EXPORTS[kind];
  const url = URL.createObjectURL(new Blob([make(table)], { type: `${type};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
