/** Queries by clicks. What they amount to is KQL, which the editor shows. */
import { literal } from '../kql/text';
import { param, setParams } from '../location';
import { Button } from '../ui/button';
import { Input, Select } from '../ui/field';

const TABLES: Record<string, readonly string[]> = {
  Interactions: [
    'Kind',
    'OperationId',
    'DeploymentName',
    'ModelName',
    'ApimSubscriptionId',
    'UserId',
    'CallerIpAddress',
    'BackendId',
    'Outcome',
    'ResponseCode',
    'LastErrorReason',
    'UserAgent',
    'IsStreamCompletion',
    'TotalTokens',
    'TotalTime',
    'CostUsd',
  ],
  BackendHealth: ['BackendId', 'Scope', 'DeploymentName', 'State', 'Reason'],
  SecurityEvents: ['Kind', 'Severity', 'PrincipalId', 'CallerIpAddress', 'Reason'],
  AdminActions: ['OperationName', 'TargetKind', 'TargetId', 'Outcome', 'PrincipalName'],
  ContentReads: ['PrincipalName', 'Via', 'Purpose', 'InteractionId'],
  Alerts: ['RuleName', 'State', 'Severity', 'Target'],
};
const NUMERIC = new Set(['ResponseCode', 'TotalTokens', 'TotalTime', 'CostUsd', 'Severity']);
const BOOLEAN = new Set(['IsStreamCompletion']);
const TESTS: readonly [string, string][] = [
  ['==', 'is'],
  ['!=', 'is not'],
  ['contains', 'contains'],
  ['>', 'is more than'],
  ['<', 'is less than'],
];
const SPANS = ['1h', '24h', '7d', '30d'] as const;
const MEASURES: readonly [string, string][] = [
  ['', 'show rows'],
  ['count()', 'count rows'],
  ['sum(TotalTokens)', 'sum tokens'],
  ['sum(CostUsd)', 'sum cost'],
  ['percentile(TotalTime, 95)', '95 % duration'],
];

interface Condition {
  column: string;
  test: string;
  value: string;
}

interface Wish {
  table: string;
  span: string;
  conditions: Condition[];
  measure: string;
  by: string;
}

function constant({ column, test, value }: Condition): string {
  const isNumber = NUMERIC.has(column) && test !== 'contains';
  if (isNumber) return String(Number.parseFloat(value) || 0);
  return BOOLEAN.has(column) ? String(value === 'true') : literal(value);
}

/** The query that the clicks amount to. */
export function toKql(wish: Wish): string {
  const lines = [wish.table, `| where TimeGenerated > ago(${wish.span})`];
  for (const condition of wish.conditions) {
    const column =
      NUMERIC.has(condition.column) && condition.test === 'contains'
        ? `tostring(${condition.column})`
        : condition.column;
    if (condition.value !== '')
      lines.push(`| where ${column} ${condition.test} ${constant(condition)}`);
  }
  if (!wish.measure) return [...lines, '| top 500 by TimeGenerated desc'].join('\n');
  if (wish.by === 'time') {
    const bin = { '1h': '1m', '24h': '15m', '7d': '3h', '30d': '12h' }[wish.span] ?? '1h';
    lines.push(
      `| summarize Value = ${wish.measure} by bin(TimeGenerated, ${bin})`,
      '| render timechart',
    );
  } else if (wish.by) {
    lines.push(
      `| summarize Value = ${wish.measure} by ${wish.by}`,
      '| top 30 by Value desc',
      '| render barchart',
    );
  } else {
    lines.push(`| summarize Value = ${wish.measure}`, '| render card');
  }
  return lines.join('\n');
}

const FIRST: Wish = {
  table: 'Interactions',
  span: '24h',
  conditions: [],
  measure: 'count()',
  by: 'DeploymentName',
};

/** The wish in the address; what is not one there is the first one's. */
function wishOf(text: string): Wish {
  const search = new URLSearchParams(text);
  const of = (name: string, first: string) => search.get(name) ?? first;
  const table = of('table', FIRST.table);
  if (text === '' || !Object.hasOwn(TABLES, table)) return FIRST;
  const isMeasure = MEASURES.some(([name]) => name === search.get('measure'));
  const conditions = search.getAll('where').map((one): Condition => {
    const [column = '', test = '', ...value] = one.split(' ');
    return { column, test, value: value.join(' ') };
  });
  const columns = TABLES[table] ?? [];
  return {
    table,
    span: SPANS.find((span) => span === search.get('span')) ?? FIRST.span,
    conditions: conditions.filter(
      ({ column, test }) => columns.includes(column) && TESTS.some(([name]) => name === test),
    ),
    measure: isMeasure ? of('measure', '') : FIRST.measure,
    by: ['', 'time', ...columns].includes(of('by', '')) ? of('by', '') : '',
  };
}

function toText({ conditions, ...wish }: Wish): string {
  const search = new URLSearchParams(wish);
  for (const { column, test, value } of conditions)
    search.append('where', `${column} ${test} ${value}`);
  return search.toString();
}

export function Simple({ onRun }: { onRun: (kql: string) => void }) {
  const wish = wishOf(param('wish'));
  const columns = TABLES[wish.table] ?? [];
  const setWish = (next: Wish) => setParams({ wish: toText(next) });
  const change = (part: Partial<Wish>) => setWish({ ...wish, ...part });
  const setCondition = (at: number, part: Partial<Condition>) =>
    change({
      conditions: wish.conditions.map((old, index) => (index === at ? { ...old, ...part } : old)),
    });
  const isCalls = wish.table === 'Interactions';
  return (
    <form
      class="simple"
      onSubmit={(event) => {
        event.preventDefault();
        onRun(toKql(wish));
      }}
    >
      <div class="filters">
        <Select
          label="Table"
          value={wish.table}
          options={Object.keys(TABLES)}
          onChange={(table) => setWish({ ...FIRST, table, by: TABLES[table]?.[0] ?? '' })}
        />
        <Select
          label="Time"
          value={wish.span}
          options={SPANS.map((span): [string, string] => [span, `last ${span}`])}
          onChange={(span) => change({ span })}
        />
        <Select
          label="Answer"
          value={wish.measure}
          options={isCalls ? MEASURES : MEASURES.slice(0, 2)}
          onChange={(measure) => change({ measure })}
        />
        {wish.measure && (
          <Select
            label="By"
            value={wish.by}
            options={[
              ['', 'nothing'],
              ['time', 'time'],
              ...columns.map((name): [string, string] => [name, name]),
            ]}
            onChange={(by) => change({ by })}
          />
        )}
      </div>
      {wish.conditions.map((condition, at) => (
        <div class="filters" key={at}>
          <Select
            label="Column"
            value={condition.column}
            options={columns}
            onChange={(column) => setCondition(at, { column })}
          />
          <Select
            label="Test"
            value={condition.test}
            options={TESTS}
            onChange={(test) => setCondition(at, { test })}
          />
          <Input
            label="Value"
            value={condition.value}
            onChange={(value) => setCondition(at, { value })}
          />
          <Button
            icon="close"
            look="quiet"
            aria-label="Take this condition away"
            onClick={() =>
              change({ conditions: wish.conditions.filter((_, index) => index !== at) })
            }
          />
        </div>
      ))}
      <div class="filters">
        <Button
          onClick={() =>
            change({
              conditions: [...wish.conditions, { column: columns[0] ?? '', test: '==', value: '' }],
            })
          }
        >
          Add a condition
        </Button>
        <Button type="submit" look="main" icon="play">
          Run
        </Button>
      </div>
    </form>
  );
}
