/** Every interaction, refused ones too, newest first. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { rows as queryRows } from '../api/kusto';
import * as format from '../format';
import { rangeOf } from '../kql/text';
import { useLoad } from '../load';
import { address, go, param, place, setParams } from '../location';
import { COLUMNS, chosenColumns, PROJECTION, type RequestColumn } from '../requests/columns';
import { FILTERS, facetQuery, NONE, STATUSES, source } from '../requests/filters';
import { usePages } from '../requests/pages';
import { line } from '../text';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { ExportMenu } from '../ui/export-menu';
import { Input, Select } from '../ui/field';
import { Head, Loading } from '../ui/panel';
import { VirtualList } from '../ui/virtual';

const ROW_HEIGHT = 36;

export default function Requests() {
  const { params } = place.value;
  const [round, setRound] = useState(0);
  const wanted = source(rangeOf(params), params);
  const pages = usePages(wanted, round);
  const columns = chosenColumns(param('cols'));
  return (
    <div class="fill">
      <Head title="Requests">
        <Count rows={pages.rows.length} hasMore={pages.hasMore} isLoading={pages.isLoading} />
        <Columns chosen={columns} />
        <ExportMenu name="requests" csl={whole(wanted)} />
        <a
          class="button"
          href={address('/logs', { q: `${wanted}\n| top 500 by TimeGenerated desc` })}
        >
          Open in Logs
        </a>
        <Button icon="refresh" aria-label="Refresh" onClick={() => setRound(round + 1)} />
      </Head>
      <Filters mayAsk={pages.of === wanted} />
      {pages.failure && <Failed failure={pages.failure} again={() => setRound(round + 1)} />}
      {pages.isLoading && pages.rows.length === 0 && <Loading />}
      {!pages.isLoading && !pages.failure && pages.rows.length === 0 && (
        <Empty kind="no-traffic">
          <Button onClick={() => go('/requests?last=30d')}>Show 30 days without filters</Button>
        </Empty>
      )}
      {pages.rows.length > 0 && (
        <VirtualList
          label="Requests"
          rows={pages.rows}
          rowHeight={ROW_HEIGHT}
          template={columns.map((column) => column.width).join(' ')}
          head={columns.map((column) => (
            <div key={column.id} role="columnheader" class={column.isNumber ? 'number' : undefined}>
              {column.name}
              {column.id === 'TimeGenerated' && ` (${format.zoneName()})`}
            </div>
          ))}
          cells={(row) =>
            columns.map((column, at) => (
              <div key={column.id} role="gridcell" class={column.isNumber ? 'number' : undefined}>
                {at === 0 ? (
                  <a href={`/requests/${row.CorrelationId}`} tabIndex={-1}>
                    {column.show(row)}
                  </a>
                ) : (
                  column.show(row)
                )}
              </div>
            ))
          }
          onOpen={(row) => go(`/requests/${row.CorrelationId}`)}
          onEnd={pages.more}
        />
      )}
    </div>
  );
}

/** Every matching row, up to the server's limit, with the columns of the list. */
const whole = (wanted: string): string =>
  `${wanted}\n| sort by TimeGenerated desc\n| project ${PROJECTION}`;

function Count(props: { rows: number; hasMore: boolean; isLoading: boolean }) {
  const text = props.isLoading
    ? 'Loading'
    : props.hasMore
      ? `${format.number(props.rows)}+ rows`
      : format.counted(props.rows, 'row');
  return (
    <span class="muted" role="status">
      {text}
    </span>
  );
}

type Facets = Record<string, string[]>;

/** The values to choose from are asked for once the first rows are there, not in competition with them. */
function Filters({ mayAsk }: { mayAsk: boolean }) {
  const { params } = place.value;
  const wanted = facetQuery(rangeOf(params));
  const [csl, ask] = useState('');
  useEffect(() => {
    if (mayAsk) ask(wanted);
  }, [mayAsk, wanted]);
  const facets = useLoad(csl, async (signal) =>
    csl ? ((await queryRows<Facets>(csl, { signal }))[0] ?? {}) : {},
  );
  const [text, setText] = useState(param('text'));
  const isFiltered = ['text', 'status', ...FILTERS.map(({ name }) => name)].some(param);
  return (
    <form
      class="filters"
      role="search"
      aria-label="Filters"
      onSubmit={(event) => {
        event.preventDefault();
        setParams({ text });
      }}
    >
      <div class="grow">
        <Input
          label="Find"
          type="search"
          placeholder="id, URL, user, caller, model, error"
          value={text}
          onChange={setText}
          onBlur={() => setParams({ text })}
        />
      </div>
      <Select
        label="Status"
        value={param('status')}
        options={STATUSES}
        onChange={(status) => setParams({ status })}
      />
      {FILTERS.map(({ name, label }) => (
        <Select
          key={name}
          label={label}
          value={param(name)}
          options={choices(facets.value?.[name] ?? [], param(name))}
          onChange={(value) => setParams({ [name]: value })}
        />
      ))}
      {isFiltered && (
        <Button
          look="quiet"
          onClick={() => {
            setText('');
            const names = ['text', 'status', ...FILTERS.map(({ name }) => name)];
            setParams(Object.fromEntries(names.map((name) => [name, null])));
          }}
        >
          Clear
        </Button>
      )}
    </form>
  );
}

function choices(values: string[], chosen: string): [string, string][] {
  const known = new Set(values.map((value) => value || NONE));
  if (chosen) known.add(chosen);
  const sorted = [...known].sort((left, right) => left.localeCompare(right));
  return [['', 'any'], ...sorted.map((value): [string, string] => [value, line(value)])];
}

function Columns({ chosen }: { chosen: RequestColumn[] }) {
  const ids = useMemo(() => new Set(chosen.map((column) => column.id)), [chosen]);
  const toggle = (id: RequestColumn['id']) => {
    const next = COLUMNS.filter((column) => (column.id === id) !== ids.has(column.id));
    const wanted = next.map((column) => column.id).join(',');
    const first = chosenColumns('').map((column) => column.id);
    setParams({ cols: wanted === first.join(',') ? null : wanted });
  };
  return (
    <details class="menu">
      <summary class="button">Columns</summary>
      <fieldset class="menu-body">
        <legend class="visually-hidden">Columns shown</legend>
        {COLUMNS.map((column) => (
          <label key={column.id}>
            <input
              type="checkbox"
              checked={ids.has(column.id)}
              disabled={ids.has(column.id) && ids.size === 1}
              onChange={() => toggle(column.id)}
            />
            {column.name}
          </label>
        ))}
      </fieldset>
    </details>
  );
}
