/** Who changed what, who read what people wrote, and what security should know. */

import { Approvals } from '../audit/approvals';
import { Signatures } from '../audit/signatures';
import { Verify } from '../audit/verify';
import * as format from '../format';
import { inRange, rangeOf } from '../kql/text';
import { place } from '../location';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Head } from '../ui/panel';
import { QueryTable } from '../ui/query-table';
import { Tabs } from '../ui/tabs';

const TABS = [
  { id: 'chain', name: 'Chain' },
  { id: 'actions', name: 'Administrator actions' },
  { id: 'reads', name: 'Content reads' },
  { id: 'approvals', name: 'Approvals' },
  { id: 'security', name: 'Security events' },
] as const;

export default function Audit() {
  const within = inRange(rangeOf(place.value.params));
  return (
    <>
      <Head title="Audit integrity" />
      <Tabs tabs={TABS} label="Records">
        {(tab) => {
          if (tab === 'reads') return <Reads within={within} />;
          if (tab === 'approvals') return <Approvals />;
          if (tab === 'security') return <Security within={within} />;
          if (tab === 'actions') return <Actions within={within} />;
          return (
            <div class="stack">
              <Signatures />
              <Verify />
            </div>
          );
        }}
      </Tabs>
    </>
  );
}

const when = (row: { TimeGenerated: string }) => (
  <span class="mono nowrap">{format.time(row.TimeGenerated)}</span>
);
const timeName = () => `Time (${format.zoneName()})`;

interface Action {
  TimeGenerated: string;
  OperationName: string;
  TargetKind: string;
  TargetId: string;
  Outcome: string;
  PrincipalName: string;
  CallerIpAddress: string;
  Via: string;
  Message: string;
}

const OUTCOMES: Record<string, Tone> = { succeeded: 'good', denied: 'warn', failed: 'bad' };

const Actions = ({ within }: { within: string }) => (
  <QueryTable<Action>
    title="Administrator actions"
    csl={`AdminActions
| where ${within}
| top 500 by TimeGenerated desc
| project TimeGenerated, OperationName, TargetKind, TargetId, Outcome, PrincipalName, CallerIpAddress, Via, Message`}
    none="Nobody has changed anything in this time range."
    columns={[
      { name: timeName(), show: when },
      { name: 'What', show: (row) => row.OperationName },
      { name: 'Target', show: (row) => line(`${row.TargetKind} ${row.TargetId}`) },
      {
        name: 'Outcome',
        show: (row) => <Badge tone={OUTCOMES[row.Outcome] ?? 'quiet'} text={row.Outcome} />,
      },
      { name: 'Who', show: (row) => line(row.PrincipalName) },
      { name: 'From', show: (row) => `${row.CallerIpAddress} ${row.Via}` },
      { name: 'Message', show: (row) => line(row.Message) },
    ]}
  />
);

interface Read {
  TimeGenerated: string;
  PrincipalName: string;
  Purpose: string;
  ApproverId: string;
  InteractionId: string;
  Query: string;
  Columns: string[] | null;
  Via: string;
}

const Reads = ({ within }: { within: string }) => (
  <QueryTable<Read>
    title="Content reads"
    note="written before anything was shown"
    csl={`ContentReads
| where ${within}
| top 500 by TimeGenerated desc
| project TimeGenerated, PrincipalName, Purpose, ApproverId, InteractionId, Query, Columns, Via`}
    none="Nobody has read prompts or answers in this time range."
    columns={[
      { name: timeName(), show: when },
      { name: 'Who', show: (row) => line(row.PrincipalName) },
      { name: 'Purpose', show: (row) => line(row.Purpose) || '(none stated)' },
      { name: 'Approved by', show: (row) => line(row.ApproverId) },
      {
        name: 'What',
        show: (row) =>
          row.InteractionId ? (
            <a href={`/requests/${row.InteractionId}`}>{row.InteractionId}</a>
          ) : (
            <span class="mono">{line(row.Query).slice(0, 300)}</span>
          ),
      },
      { name: 'Columns', show: (row) => (row.Columns ?? []).join(', ') },
      { name: 'Via', show: (row) => row.Via },
    ]}
  />
);

interface Event {
  TimeGenerated: string;
  Kind: string;
  Severity: string;
  PrincipalId: string;
  CallerIpAddress: string;
  Target: string;
  Reason: string;
  Message: string;
}

const SEVERITIES: Record<string, Tone> = {
  informational: 'quiet',
  warning: 'warn',
  critical: 'bad',
};

const Security = ({ within }: { within: string }) => (
  <QueryTable<Event>
    title="Security events"
    csl={`SecurityEvents
| where ${within}
| top 500 by TimeGenerated desc
| project TimeGenerated, Kind, Severity, PrincipalId, CallerIpAddress, Target, Reason, Message`}
    none="Nothing that a security team would want to see has happened in this time range."
    columns={[
      { name: timeName(), show: when },
      {
        name: 'Severity',
        show: (row) => <Badge tone={SEVERITIES[row.Severity] ?? 'quiet'} text={row.Severity} />,
      },
      { name: 'What', show: (row) => row.Kind.replaceAll('_', ' ') },
      { name: 'Who', show: (row) => line(row.PrincipalId) },
      { name: 'From', show: (row) => row.CallerIpAddress },
      { name: 'Target', show: (row) => line(row.Target) },
      { name: 'Message', show: (row) => line(row.Message || row.Reason) },
    ]}
  />
);
