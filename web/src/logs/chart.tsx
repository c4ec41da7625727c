/** A result as a chart, as `render` asks. */
import type { Answer, Cell, Column, Table, Visualization } from '../api/kusto';
import * as format from '../format';
import { line } from '../text';
import { type Bar, Bars } from '../ui/bars';
import { Chart, type ChartKind, type Line } from '../ui/chart';
import { Figure } from '../ui/panel';

const KINDS: Record<string, ChartKind> = {
  timechart: 'line',
  linechart: 'line',
  areachart: 'area',
  stackedareachart: 'area',
  scatterchart: 'points',
  columnchart: 'bars',
};
const NUMBERS = new Set(['long', 'int', 'real', 'decimal', 'double']);
const BARS_MAX = 40;

const isNumber = (column: Column | undefined): boolean => NUMBERS.has(column?.type ?? '');
const value = (cell: Cell | undefined): number | null => {
  const found = typeof cell === 'string' ? Number.parseFloat(cell) : cell;
  return typeof found === 'number' && Number.isFinite(found) ? found : null;
};

export function hasChart({ visualization, tables }: Answer): boolean {
  const isChart = visualization !== null && visualization.kind !== 'table';
  return (
    isChart && (tables[0]?.rows.length ?? 0) > 0 && (tables[0]?.columns.some(isNumber) ?? false)
  );
}

export function ResultChart({ answer }: { answer: Answer }) {
  const [table] = answer.tables;
  const wanted = answer.visualization;
  if (!table || !wanted) return null;
  const title = wanted.title && <p class="chart-title">{line(wanted.title)}</p>;
  if (wanted.kind === 'card') return <Card table={table} />;
  const x = axis(table, wanted);
  const isContinuous = table.columns[x]?.type === 'datetime' || isNumber(table.columns[x]);
  const kind = KINDS[wanted.kind];
  return (
    <>
      {title}
      {kind && isContinuous ? (
        <Lines table={table} x={x} wanted={wanted} kind={kind} />
      ) : (
        <Bars label={wanted.title || 'Result'} bars={bars(table, x)} />
      )}
    </>
  );
}

/** The column along the axis: the one named, else a time, else the first. */
function axis(table: Table, wanted: Visualization): number {
  const named = table.columns.findIndex(({ name }) => name === wanted.xColumn);
  if (named >= 0) return named;
  const time = table.columns.findIndex(({ type }) => type === 'datetime');
  return Math.max(0, time);
}

/** The columns drawn: those named, else every number but the axis. */
function drawn(table: Table, x: number, wanted: Visualization): number[] {
  const all = table.columns
    .map((_, at) => at)
    .filter((at) => at !== x && isNumber(table.columns[at]));
  const named = all.filter((at) => wanted.yColumns.includes(table.columns[at]?.name ?? ''));
  return named.length > 0 ? named : all;
}

interface LinesProps {
  table: Table;
  x: number;
  wanted: Visualization;
  kind: ChartKind;
}

/** A line for each number and for each value of the text columns beside it. */
function Lines({ table, x, wanted, kind }: LinesProps) {
  const isTime = table.columns[x]?.type === 'datetime';
  const place = (row: Cell[]): number | null =>
    isTime ? (format.instant(row[x])?.getTime() ?? 0) / 1000 : value(row[x]);
  const names = table.columns
    .map((_, at) => at)
    .filter((at) => table.columns[at]?.type === 'string' && at !== x);
  const points = new Map<string, Map<number, number | null>>();
  const places = new Set<number>();
  for (const row of table.rows) {
    const at = place(row);
    if (at === null) continue;
    places.add(at);
    const group = names.map((name) => line(String(row[name] ?? ''))).join(', ');
    for (const y of drawn(table, x, wanted)) {
      const column = table.columns[y]?.name ?? '';
      const name = names.length === 0 ? column : group || '(none)';
      const found = points.get(name) ?? new Map();
      points.set(name, found.set(at, value(row[y])));
    }
  }
  const xs = [...places].sort((left, right) => left - right);
  const lines: Line[] = [...points].map(([name, found]) => ({
    name,
    values: xs.map((at) => found.get(at) ?? null),
  }));
  return (
    <Chart
      label={wanted.title || 'Result'}
      x={xs}
      lines={lines}
      kind={kind}
      isTime={isTime}
      height={280}
    />
  );
}

function bars(table: Table, x: number): Bar[] {
  const y = table.columns.findIndex((column, at) => at !== x && isNumber(column));
  const names = table.columns
    .map((_, at) => at)
    .filter((at) => at !== y && !isNumber(table.columns[at]));
  return table.rows.slice(0, BARS_MAX).map((row) => {
    const name = (names.length > 0 ? names : [x])
      .map((at) => line(format.cell(row[at], table.columns[at]?.type ?? '')))
      .join(', ');
    const amount = value(row[y]) ?? 0;
    return { name, value: amount, text: format.number(amount) };
  });
}

const figure = (amount: number | null): string =>
  amount !== null && Math.abs(amount) < 1 ? format.compact(amount) : format.number(amount);

function Card({ table }: { table: Table }) {
  const row = table.rows[0] ?? [];
  return (
    <dl class="figures">
      {table.columns.map((column, at) => (
        <Figure
          key={column.name}
          name={column.name}
          value={
            isNumber(column) ? figure(value(row[at])) : line(format.cell(row[at], column.type))
          }
        />
      ))}
    </dl>
  );
}
