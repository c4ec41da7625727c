/** Interactions as they end. */
import * as format from '../format';
import { useTail } from '../live/tail';
import { address, go, param, setParams } from '../location';
import { chosenColumns } from '../requests/columns';
import { FILTERS, STATUSES } from '../requests/filters';
import { Badge } from '../ui/badge';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { Input, Select } from '../ui/field';
import { Head } from '../ui/panel';
import { VirtualList } from '../ui/virtual';

const ROW_HEIGHT = 36;

export default function Live() {
  const names = ['status', ...FILTERS.map(({ name }) => name)];
  const wanted = Object.fromEntries(names.map((name) => [name, param(name)]));
  const isPaused = param('paused') === 'yes';
  const tail = useTail(address('/admin/v1/live', wanted), isPaused);
  const columns = chosenColumns('');
  return (
    <div class="fill">
      <Head title="Live tail">
        <Standing isConnected={tail.isConnected} isPaused={isPaused} held={tail.held} />
        <Button
          look="main"
          icon={isPaused ? 'play' : 'pause'}
          onClick={() => setParams({ paused: isPaused ? null : 'yes' })}
        >
          {isPaused ? 'Go on' : 'Pause'}
        </Button>
      </Head>
      <div class="filters">
        <Select
          label="Status"
          value={param('status')}
          options={STATUSES}
          onChange={(status) => setParams({ status })}
        />
        {FILTERS.map(({ name, label }) => (
          <Filter key={name} name={name} label={label} />
        ))}
      </div>
      {tail.failure && <Failed failure={tail.failure} />}
      {!tail.failure && tail.rows.length === 0 && (
        <Empty
          kind="no-traffic"
          text="Nothing has ended yet. What ends from now on appears here by itself."
        />
      )}
      {tail.rows.length > 0 && (
        <VirtualList
          label="Live tail"
          rows={tail.rows}
          rowHeight={ROW_HEIGHT}
          template={columns.map((column) => column.width).join(' ')}
          head={columns.map((column) => (
            <div key={column.id} role="columnheader" class={column.isNumber ? 'number' : undefined}>
              {column.name}
              {column.id === 'TimeGenerated' && ` (${format.zoneName()})`}
            </div>
          ))}
          cells={(row) =>
            columns.map((column) => (
              <div key={column.id} role="gridcell" class={column.isNumber ? 'number' : undefined}>
                {column.show(row)}
              </div>
            ))
          }
          onOpen={(row) => go(`/requests/${row.CorrelationId}`)}
        />
      )}
    </div>
  );
}

function Filter({ name, label }: { name: string; label: string }) {
  return (
    <Input
      label={label}
      value={param(name)}
      placeholder="any"
      onChange={(value) => setParams({ [name]: value })}
    />
  );
}

function Standing(props: { isConnected: boolean; isPaused: boolean; held: number }) {
  if (props.isPaused)
    return <Badge tone="warn" text={`paused, ${format.number(props.held)} held back`} />;
  return props.isConnected ? (
    <Badge tone="good" text="live" />
  ) : (
    <Badge tone="quiet" text="connecting" />
  );
}
