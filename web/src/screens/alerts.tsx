/** What alert rules have found, and whether people were told. */

import { Reports } from '../alerts/reports';
import { Rules } from '../alerts/rules';
import { Severity } from '../alerts/severity';
import * as format from '../format';
import { inRange, rangeOf } from '../kql/text';
import { param, place, setParams } from '../location';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Select } from '../ui/field';
import { Head } from '../ui/panel';
import { QueryTable } from '../ui/query-table';

interface Firing {
  RuleName: string;
  Severity: number;
  State: string;
  FiredAt: string;
  LastAt: string;
  Value: number | null;
  Threshold: number | null;
  Dimensions: Record<string, unknown> | null;
  Message: string;
}

interface Change {
  TimeGenerated: string;
  RuleName: string;
  Severity: number;
  State: string;
  Target: string;
  Message: string;
}

const STATES: readonly [string, string][] = [
  ['', 'any'],
  ['Fired', 'fired'],
  ['Resolved', 'resolved'],
  ['Delivered', 'delivered'],
  ['DeliveryFailed', 'delivery failed'],
  ['EvaluationFailed', 'evaluation failed'],
];
const TONES: Record<string, Tone> = {
  Fired: 'bad',
  Resolved: 'good',
  Delivered: 'info',
  DeliveryFailed: 'bad',
  EvaluationFailed: 'warn',
};

const State = ({ name }: { name: string }) => <Badge tone={TONES[name] ?? 'quiet'} text={name} />;

const dimensions = (row: Firing): string =>
  Object.entries(row.Dimensions ?? {})
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');

export default function Alerts() {
  const within = inRange(rangeOf(place.value.params));
  const state = STATES.find(([name]) => name === param('state'))?.[0] ?? '';
  // Whatever the range: one that fired long ago and is still open is what one wants to see first.
  const open = `Alerts
| where State in ('Fired', 'Resolved')
| summarize arg_max(LedgerSequence, RuleName, Severity, State, FiredAt, Value, Threshold, Dimensions, Message), LastAt = max(TimeGenerated) by AlertId
| where State == 'Fired'
| sort by Severity asc, FiredAt desc`;
  const changes = `Alerts
| where ${within}${state ? ` and State == '${state}'` : ''}
| top 500 by TimeGenerated desc
| project TimeGenerated, RuleName, Severity, State, Target, Message`;
  return (
    <div class="stack">
      <Head title="Alerts">
        <Select
          label="Change"
          value={state}
          options={STATES}
          onChange={(value) => setParams({ state: value })}
        />
      </Head>
      <QueryTable<Firing>
        title="Firing now"
        csl={open}
        none="No alert fires."
        columns={[
          { name: 'Severity', show: (row) => <Severity level={row.Severity} /> },
          { name: 'Rule', show: (row) => line(row.RuleName) },
          { name: `Since (${format.zoneName()})`, show: (row) => format.second(row.FiredAt) },
          { name: 'For', show: (row) => line(dimensions(row)) },
          { name: 'Value', isNumber: true, show: (row) => format.number(row.Value) },
          { name: 'Threshold', isNumber: true, show: (row) => format.number(row.Threshold) },
          { name: 'Message', show: (row) => line(row.Message) },
        ]}
      />
      <QueryTable<Change>
        title="Changes"
        csl={changes}
        none="No alert has changed in this time range."
        columns={[
          {
            name: `Time (${format.zoneName()})`,
            show: (row) => <span class="mono nowrap">{format.time(row.TimeGenerated)}</span>,
          },
          { name: 'Change', show: (row) => <State name={row.State} /> },
          { name: 'Severity', show: (row) => <Severity level={row.Severity} /> },
          { name: 'Rule', show: (row) => line(row.RuleName) },
          { name: 'Target', show: (row) => line(row.Target) },
          { name: 'Message', show: (row) => line(row.Message) },
        ]}
      />
      <Rules />
      <Reports />
    </div>
  );
}
