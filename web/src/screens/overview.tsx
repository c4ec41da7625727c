/** What went through in a time range, at a glance. */
import { type Answer, objects, query, type Table as ResultTable } from '../api/kusto';
import * as format from '../format';
import { inRange, type Range, rangeOf, spanSeconds, step } from '../kql/text';
import { useLoad } from '../load';
import { address, place } from '../location';
import { line } from '../text';
import { Bars } from '../ui/bars';
import { Button } from '../ui/button';
import { Chart } from '../ui/chart';
import { Empty, Failed } from '../ui/empty';
import { Figure, Head, Loading, Panel } from '../ui/panel';

interface Totals {
  Requests: number;
  Failed: number;
  Refused: number;
  Tokens: number | null;
  Cost: string | null;
  Unpriced: number;
  Callers: number;
  Median: number | null;
  Slow: number | null;
  Overhead: number | null;
}

interface Bucket {
  At: string;
  Good: number;
  Client: number;
  Server: number;
  Tokens: number | null;
  Median: number | null;
  Slow: number | null;
}

interface Ranked {
  Name: string;
  Requests: number;
  Tokens: number | null;
  Cost: string | null;
}

function overviewQuery(range: Range, stepText: string): string {
  const top = (column: string) =>
    `Rows | summarize Requests = count(), Tokens = sum(TotalTokens), Cost = sum(CostUsd) by Name = ${column} | top 6 by Requests desc`;
  return `let Rows = Interactions | where ${inRange(range)};
Rows | summarize Requests = count(), Failed = countif(ResponseCode >= 500 or ResponseCode == 0),
    Refused = countif(Outcome == 'refused'), Tokens = sum(TotalTokens), Cost = sum(CostUsd),
    Unpriced = countif(isnull(CostUsd) and TotalTokens > 0), Callers = dcount(CallerIpAddress),
    Median = percentile(TotalTime, 50), Slow = percentile(TotalTime, 95),
    Overhead = percentile(GatewayOverhead, 50);
Rows | summarize Good = countif(ResponseCode between (100 .. 399)),
    Client = countif(ResponseCode between (400 .. 499)),
    Server = countif(ResponseCode >= 500 or ResponseCode == 0), Tokens = sum(TotalTokens),
    Median = percentile(TotalTime, 50), Slow = percentile(TotalTime, 95)
    by At = bin(TimeGenerated, ${stepText}) | sort by At asc;
${top('DeploymentName')};
${top('ApimSubscriptionId')};
Rows | where LastErrorReason != '' | summarize Requests = count() by Name = LastErrorReason | top 6 by Requests desc`;
}

export default function Overview() {
  const range = rangeOf(place.value.params);
  const { text: stepText, seconds } = step(range);
  const csl = overviewQuery(range, stepText);
  const found = useLoad(csl, (signal) => query(csl, { signal }));
  return (
    <div class="stack">
      <Head title="Overview">
        <Button icon="refresh" onClick={found.again}>
          Refresh
        </Button>
      </Head>
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value && <Found answer={found.value} stepSeconds={seconds} />}
    </div>
  );
}

const at = <T,>(answer: Answer, index: number): T[] => {
  const table: ResultTable | undefined = answer.tables[index];
  return table ? objects<T>(table) : [];
};

function Found({ answer, stepSeconds }: { answer: Answer; stepSeconds: number }) {
  const totals = at<Totals>(answer, 0)[0];
  if (!totals || totals.Requests === 0) {
    return (
      <Empty
        kind="no-traffic"
        text="No interaction in this time range. The set-up under Clients shows how to send one."
      >
        <a class="button" href="/clients?tab=setup">
          Set up a client
        </a>
      </Empty>
    );
  }
  return (
    <>
      <TotalFigures totals={totals} />
      <Charts buckets={at<Bucket>(answer, 1)} stepSeconds={stepSeconds} />
      <div class="columns">
        <Ranking title="Deployments" rows={at<Ranked>(answer, 2)} filter="deployment" />
        <Ranking title="Subscriptions" rows={at<Ranked>(answer, 3)} filter="subscription" />
        <Ranking title="Errors" rows={at<Ranked>(answer, 4)} filter="text" />
      </div>
    </>
  );
}

function TotalFigures({ totals }: { totals: Totals }) {
  const failed = format.percent(totals.Failed, totals.Requests);
  return (
    <dl class="figures">
      <Figure
        name="Requests"
        value={format.number(totals.Requests)}
        note={`callers: ${format.number(totals.Callers)}`}
      />
      <Figure
        name="Failed"
        value={failed}
        note={format.counted(totals.Failed, 'call')}
        {...(totals.Failed > 0 && { tone: 'bad' })}
      />
      <Figure
        name="Refused"
        value={format.number(totals.Refused)}
        note={format.percent(totals.Refused, totals.Requests)}
      />
      <Figure name="Tokens" value={format.compact(totals.Tokens)} />
      <Figure
        name="Cost"
        value={format.money(totals.Cost)}
        note={
          totals.Unpriced > 0 ? `${format.counted(totals.Unpriced, 'call')} unpriced` : 'all priced'
        }
      />
      <Figure
        name="Median duration"
        value={format.duration(totals.Median)}
        note={`95 %: ${format.duration(totals.Slow)}`}
      />
      <Figure
        name="Gateway overhead"
        value={format.duration(totals.Overhead)}
        note="median, disk included"
      />
    </dl>
  );
}

interface Filled {
  x: number[];
  of: (name: keyof Bucket) => (number | null)[];
}

/** Every bucket of the range: those without a request are zero, not absent. */
function filled(buckets: Bucket[], range: Range, stepSeconds: number): Filled {
  const known = new Map(buckets.map((bucket) => [Date.parse(bucket.At) / 1000, bucket]));
  const end = range.last ? Date.now() / 1000 : Date.parse(range.to) / 1000;
  const last = Math.floor(end / stepSeconds) * stepSeconds;
  const count = Math.min(2000, Math.ceil(spanSeconds(range) / stepSeconds) + 1);
  const first = last - (count - 1) * stepSeconds;
  const x = Array.from({ length: count }, (_, index) => first + index * stepSeconds);
  const of = (name: keyof Bucket) =>
    x.map((second) => {
      const bucket = known.get(second);
      const value = bucket?.[name];
      if (typeof value === 'number') return value;
      return name === 'Median' || name === 'Slow' ? null : 0;
    });
  return { x, of };
}

function Charts({ buckets, stepSeconds }: { buckets: Bucket[]; stepSeconds: number }) {
  const { x, of } = filled(buckets, rangeOf(place.value.params), stepSeconds);
  const zone = format.zoneName();
  return (
    <div class="columns">
      <Panel title="Requests" note={zone}>
        <Chart
          label="Requests over time"
          x={x}
          kind="bars"
          isStacked
          lines={[
            { name: 'answered', values: of('Good') },
            { name: '4xx', values: of('Client'), tone: 'warn' },
            { name: '5xx or none', values: of('Server'), tone: 'bad' },
          ]}
        />
      </Panel>
      <Panel title="Duration" note={zone}>
        <Chart
          label="Duration over time"
          x={x}
          lines={[
            { name: 'median', values: of('Median'), show: format.duration },
            { name: '95 %', values: of('Slow'), show: format.duration },
          ]}
        />
      </Panel>
      <Panel title="Tokens" note={zone}>
        <Chart
          label="Tokens over time"
          x={x}
          kind="area"
          lines={[{ name: 'tokens', values: of('Tokens') }]}
        />
      </Panel>
    </div>
  );
}

function Ranking({ title, rows, filter }: { title: string; rows: Ranked[]; filter: string }) {
  const { params } = place.value;
  const kept = { last: params.get('last'), from: params.get('from'), to: params.get('to') };
  const bars = rows.map((row) => ({
    name: line(row.Name),
    value: row.Requests,
    text: [format.number(row.Requests), row.Cost ? format.money(row.Cost) : '']
      .filter(Boolean)
      .join(' · '),
    href: address('/requests', { ...kept, [filter]: row.Name || '(none)' }),
  }));
  return (
    <Panel title={title} note="requests">
      {bars.length > 0 ? <Bars label={title} bars={bars} /> : <p class="panel-body muted">None.</p>}
    </Panel>
  );
}
