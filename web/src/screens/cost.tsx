/** What was spent, by whom, on what; and what limits have left. */
import { type Counter, readLimits } from '../api/admin';
import { objects, query } from '../api/kusto';
import { Budgets } from '../cost/budgets';
import { costs } from '../cost/costs';
import { filledSeries } from '../cost/series';
import * as format from '../format';
import { inRange, rangeOf, step } from '../kql/text';
import { useLoad } from '../load';
import { param, place, setParams } from '../location';
import { line } from '../text';
import { Chart } from '../ui/chart';
import { Empty, Failed } from '../ui/empty';
import { Select } from '../ui/field';
import { Money } from '../ui/money';
import { Figure, Head, Loading, Panel } from '../ui/panel';
import { QueryTable } from '../ui/query-table';
import { Table } from '../ui/table';

const GROUPS: readonly [string, string][] = [
  ['ApimSubscriptionId', 'Subscription'],
  ['ProductId', 'Product'],
  ['UserId', 'User'],
  ['Group', 'Group'],
  ['ModelName', 'Model'],
  ['DeploymentName', 'Deployment'],
  ['Kind', 'Kind'],
];

export default function Cost() {
  const group = GROUPS.find(([column]) => column === param('by'))?.[0] ?? 'ApimSubscriptionId';
  return (
    <div class="stack">
      <Head title="Cost and quota">
        <Select
          label="By"
          value={group}
          options={GROUPS}
          onChange={(by) => setParams({ by: by === 'ApimSubscriptionId' ? null : by })}
        />
      </Head>
      <Spent group={group} />
      <Breakdown group={group} />
      <Budgets />
      <Limits />
    </div>
  );
}

interface Sum {
  CostUsd: string | null;
  Tokens: number | null;
  Calls: number;
  Unpriced: number;
}

interface Bucket {
  At: string;
  Name: string;
  CostUsd: string | null;
}

function Spent({ group }: { group: string }) {
  const range = rangeOf(place.value.params);
  const { text, seconds } = step(range, 48);
  const csl = `${costs(inRange(range), group)};
Rows | summarize CostUsd = sum(CostUsd), Tokens = sum(TotalTokens), Calls = sum(Calls), Unpriced = sum(Unpriced);
${group === 'Group' ? 'ByGroup' : 'Rows'} | where isnotnull(CostUsd)
| summarize CostUsd = sum(CostUsd) by At = bin(TimeGenerated, ${text}), Name = ${group}`;
  const found = useLoad(csl, (signal) => query(csl, { signal }));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const [sums, buckets] = found.value.tables;
  const sum = sums && objects<Sum>(sums)[0];
  if (!sum || sum.Calls === 0) return <Empty kind="no-traffic" />;
  const points = (buckets ? objects<Bucket>(buckets) : []).map(({ At, Name, CostUsd }) => ({
    at: Date.parse(At) / 1000,
    name: line(Name) || '(none)',
    value: Number.parseFloat(CostUsd ?? '0'),
  }));
  const { x, lines } = filledSeries(points, range, seconds);
  return (
    <>
      <dl class="figures">
        <Figure name="Spent" value={format.money(sum.CostUsd)} />
        <Figure name="Tokens" value={format.compact(sum.Tokens)} />
        <Figure name="Calls" value={format.number(sum.Calls)} />
        <Figure
          name="Unpriced calls"
          value={format.number(sum.Unpriced)}
          note={sum.Unpriced > 0 ? 'their cost is not in the sums' : 'the sums are whole'}
          {...(sum.Unpriced > 0 && { tone: 'warn' })}
        />
      </dl>
      <Panel title="Cost over time" note={`US dollars, ${format.zoneName()}`}>
        <Chart
          label="Cost over time"
          x={x}
          kind="bars"
          isStacked
          lines={lines.map((one) => ({ ...one, show: format.money }))}
        />
      </Panel>
    </>
  );
}

interface Row {
  Name: string;
  Calls: number;
  Prompt: number | null;
  Completion: number | null;
  Cached: number | null;
  CostUsd: string | null;
  Unpriced: number;
}

function Breakdown({ group }: { group: string }) {
  const csl = `${costs(inRange(rangeOf(place.value.params)), group)};
${group === 'Group' ? 'ByGroup' : 'Rows'}
| summarize Calls = sum(Calls), Prompt = sum(PromptTokens), Completion = sum(CompletionTokens),
    Cached = sum(CachedTokens), CostUsd = sum(CostUsd), Unpriced = sum(Unpriced)
    by Name = ${group}
| top 200 by CostUsd desc`;
  const name = GROUPS.find(([column]) => column === group)?.[1] ?? group;
  return (
    <QueryTable<Row>
      title={`By ${name.toLowerCase()}`}
      {...(group === 'Group' && { note: 'a call counts in each group of its caller' })}
      csl={csl}
      none="Nothing was spent in this time range."
      columns={[
        { name, show: (row) => line(row.Name) || '(none)' },
        { name: 'Calls', isNumber: true, show: (row) => format.number(row.Calls) },
        { name: 'Input tokens', isNumber: true, show: (row) => format.number(row.Prompt) },
        { name: 'of them cached', isNumber: true, show: (row) => format.number(row.Cached) },
        { name: 'Output tokens', isNumber: true, show: (row) => format.number(row.Completion) },
        { name: 'Unpriced', isNumber: true, show: (row) => format.number(row.Unpriced) },
        { name: 'Cost', isNumber: true, show: (row) => <Money value={row.CostUsd} /> },
      ]}
    />
  );
}

function Limits() {
  const found = useLoad('limits', readLimits);
  return (
    <Panel title="Limits" note="of which something counts">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {found.value?.length === 0 && (
        <Empty kind="no-traffic" text="No limit is set, or nothing has been used of one." />
      )}
      {found.value && found.value.length > 0 && (
        <Table<Counter>
          label="Limits"
          rows={found.value}
          keyOf={(row) => row.counter}
          columns={[
            { name: 'Counter', show: (row) => <span class="mono">{line(row.counter)}</span> },
            { name: 'Used', isNumber: true, show: (row) => format.number(row.used) },
            {
              name: 'Used by other nodes',
              isNumber: true,
              show: (row) => format.number(row.others_used),
            },
          ]}
        />
      )}
    </Panel>
  );
}
