/** Queries of the record, in Kusto's protocol version 1. */
import { type Call, headerText, send } from './http';

export type Cell = string | number | boolean | null | object;

export interface Column {
  name: string;
  type: string;
}

export interface Table {
  columns: Column[];
  rows: Cell[][];
}

/** How a query asks to be shown: `render`. */
export interface Visualization {
  kind: string;
  title: string;
  xColumn: string;
  yColumns: string[];
  series: string[];
}

export interface Answer {
  tables: Table[];
  visualization: Visualization | null;
  /** Why rows are missing; empty if none are. */
  truncated: string;
}

interface WireTable {
  TableName: string;
  Columns: { ColumnName: string; ColumnType: string }[];
  Rows: Cell[][];
}

interface WireAnswer {
  Tables: WireTable[];
  Exceptions?: string[];
}

export interface QueryOptions {
  parameters?: Record<string, string>;
  /** What prompts and answers are read for; goes on record. */
  purpose?: string;
  rowsMax?: number;
  signal?: AbortSignal;
}

/** Runs a query. */
export async function query(csl: string, options: QueryOptions = {}): Promise<Answer> {
  const call: Call = { method: 'POST', body: body(csl, options), headers: {} };
  if (options.purpose) call.headers = { 'x-gatehouse-purpose': headerText(options.purpose) };
  if (options.signal) call.signal = options.signal;
  const response = await send('/v1/rest/query', call);
  return answer(await response.json());
}

/** Runs a query and answers the rows of its first table as objects. */
export async function rows<T>(csl: string, options: QueryOptions = {}): Promise<T[]> {
  const { tables } = await query(csl, options);
  return tables[0] ? objects<T>(tables[0]) : [];
}

export function objects<T>(table: Table): T[] {
  return table.rows.map(
    (row) => Object.fromEntries(table.columns.map(({ name }, at) => [name, row[at]])) as T,
  );
}

function body(csl: string, { parameters, rowsMax }: QueryOptions): object {
  const options = rowsMax ? { truncationmaxrecords: rowsMax } : {};
  return { db: 'gatehouse', csl, properties: { Options: options, Parameters: parameters ?? {} } };
}

function answer(wire: WireAnswer): Answer {
  const { results, properties } = sorted(wire.Tables);
  return {
    tables: results.map((table) => ({
      columns: table.Columns.map((column) => ({
        name: column.ColumnName,
        type: column.ColumnType,
      })),
      rows: table.Rows,
    })),
    visualization: visualization(properties?.Rows[0]?.[0]),
    truncated: wire.Exceptions?.[0] ?? '',
  };
}

/** Which tables are results and which one holds their properties: the last table lists them. */
function sorted(tables: WireTable[]): { results: WireTable[]; properties: WireTable | undefined } {
  const last = tables[tables.length - 1];
  const kind = last?.Columns.findIndex(({ ColumnName }) => ColumnName === 'Kind') ?? -1;
  if (!last || tables.length <= 2 || kind < 0) {
    return { results: tables.slice(0, 1), properties: tables[1] };
  }
  const kindOf = (at: number) => last.Rows[at]?.[kind];
  return {
    results: tables.filter((_, at) => kindOf(at) === 'QueryResult'),
    properties: tables.find((_, at) => kindOf(at) === 'QueryProperties'),
  };
}

function visualization(text: unknown): Visualization | null {
  if (typeof text !== 'string') return null;
  const found: Record<string, unknown> = JSON.parse(text);
  if (typeof found.Visualization !== 'string') return null;
  const word = (name: string): string => (typeof found[name] === 'string' ? found[name] : '');
  const list = (name: string): string[] => {
    const value = found[name];
    const parts = Array.isArray(value) ? value.map(String) : word(name).split(',');
    return parts.map((part) => part.trim()).filter(Boolean);
  };
  return {
    kind: found.Visualization,
    title: word('Title'),
    xColumn: word('XColumn'),
    yColumns: list('YColumns'),
    series: list('Series'),
  };
}
