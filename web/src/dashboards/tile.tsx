/** One tile: its query, run with the values of the parameters. */
import { type Cell, query } from '../api/kusto';
import * as format from '../format';
import { useLoad } from '../load';
import { address } from '../location';
import { hasChart, ResultChart } from '../logs/chart';
import { line } from '../text';
import { Empty, Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { type Parameter, type Tile, withParameters } from './model';

interface Props {
  tile: Tile;
  parameters: Parameter[];
  values: Record<string, string>;
}

const ROWS_MAX = 100;

export function TilePanel({ tile, parameters, values }: Props) {
  const csl = withParameters(tile.query, parameters);
  const found = useLoad(`${csl}\n${JSON.stringify(values)}`, (signal) =>
    query(csl, { parameters: values, signal }),
  );
  const [table] = found.value?.tables ?? [];
  return (
    <div class={tile.isWide ? 'tile tile-wide' : 'tile'}>
      <Panel
        title={tile.title}
        actions={
          <a class="quiet-link" href={address('/logs', { q: filledIn(tile.query, values) })}>
            Open in Logs
          </a>
        }
      >
        {found.failure && <Failed failure={found.failure} again={found.again} />}
        {!found.value && !found.failure && <Loading />}
        {table?.rows.length === 0 && <Empty kind="no-traffic" />}
        {found.value && hasChart(found.value) && <ResultChart answer={found.value} />}
        {found.value && table && table.rows.length > 0 && !hasChart(found.value) && (
          <Table<Cell[]>
            label={tile.title}
            rows={table.rows.slice(0, ROWS_MAX)}
            keyOf={(_, at) => String(at)}
            columns={table.columns.map(({ name, type }, at) => ({
              name,
              show: (row) => line(format.cell(row[at], type)),
            }))}
          />
        )}
      </Panel>
    </div>
  );
}

/** The query with the parameters as `let` statements, as Logs runs it. */
function filledIn(text: string, values: Record<string, string>): string {
  const lets = Object.entries(values).map(([name, value]) => `let ${name} = ${value};`);
  return [...lets, text].join('\n');
}
