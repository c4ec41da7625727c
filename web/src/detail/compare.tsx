/** Two interactions side by side: what their facts and bodies differ in. */
import { useMemo, useState } from 'preact/hooks';
import * as format from '../format';
import { useLoad } from '../load';
import { param, setParams } from '../location';
import { line, pretty } from '../text';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Input } from '../ui/field';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { type DiffLine, difference } from './difference';
import { type Interaction, readContent, readInteraction } from './interaction';
import { Reveal } from './reveal';

export function Compare({ interaction }: { interaction: Interaction }) {
  const other = param('with');
  const [text, setText] = useState(other);
  return (
    <div class="stack">
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          setParams({ with: text.trim() });
        }}
      >
        <div class="grow">
          <Input
            label="Other request"
            value={text}
            onChange={setText}
            placeholder="its id, such as 01a222bb-c1c3-7fe1-9f36-92e666a73d72"
          />
        </div>
        <Button type="submit" look="main">
          Compare
        </Button>
      </form>
      {other && <Compared key={other} interaction={interaction} other={other} />}
    </div>
  );
}

function Compared({ interaction, other }: { interaction: Interaction; other: string }) {
  const found = useLoad(other, (signal) => readInteraction(other, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  return (
    <>
      <FactsDiffer left={interaction} right={found.value} />
      <Reveal id={interaction.CorrelationId}>
        {(purpose) => (
          <BodiesDiffer left={interaction.CorrelationId} right={other} purpose={purpose} />
        )}
      </Reveal>
    </>
  );
}

interface Differing {
  name: string;
  left: string;
  right: string;
}

const shown = (value: unknown): string =>
  value === null ? '' : line(typeof value === 'object' ? JSON.stringify(value) : String(value));

function FactsDiffer({ left, right }: { left: Interaction; right: Interaction }) {
  const names = Object.keys(left) as (keyof Interaction)[];
  const rows: Differing[] = names
    .map((name) => ({ name, left: shown(left[name]), right: shown(right[name]) }))
    .filter((row) => row.left !== row.right);
  return (
    <Panel title="Facts" note={format.counted(rows.length, 'differs', 'differ')}>
      <Table<Differing>
        label="Facts that differ"
        rows={rows}
        keyOf={(row) => row.name}
        columns={[
          { name: 'Column', show: (row) => row.name },
          { name: 'This request', show: (row) => <span class="mono wrap">{row.left}</span> },
          { name: 'The other', show: (row) => <span class="mono wrap">{row.right}</span> },
        ]}
      />
    </Panel>
  );
}

function BodiesDiffer({ left, right, purpose }: { left: string; right: string; purpose: string }) {
  const found = useLoad(`${left} ${right}`, (signal) =>
    Promise.all([readContent(left, purpose, signal), readContent(right, purpose, signal)]),
  );
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const [mine, its] = found.value;
  return (
    <>
      <Lines title="Request body" left={mine.RequestBody} right={its.RequestBody} />
      <Lines title="Answer body" left={mine.ResponseBody} right={its.ResponseBody} />
    </>
  );
}

const SIGNS: Record<DiffLine['kind'], string> = { same: ' ', gone: '-', new: '+' };

function Lines({ title, left, right }: { title: string; left: string; right: string }) {
  const lines = useMemo(() => difference(pretty(left), pretty(right)), [left, right]);
  const count = lines.filter(({ kind }) => kind !== 'same').length;
  return (
    <Panel
      title={title}
      note={count === 0 ? 'the same' : format.counted(count, 'line differs', 'lines differ')}
    >
      <pre class="diff" role="group" tabIndex={0} aria-label={title}>
        {lines.map(({ kind, text }, at) => (
          <span key={at} class={`diff-${kind}`}>
            {SIGNS[kind]} {line(text)}
          </span>
        ))}
      </pre>
    </Panel>
  );
}
