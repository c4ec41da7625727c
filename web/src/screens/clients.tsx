/** Who calls with what, what goes wrong on their side, and how a client is set up. */
import { Setup } from '../clients/setup';
import { Reveal } from '../detail/reveal';
import * as format from '../format';
import { inRange, rangeOf } from '../kql/text';
import { place } from '../location';
import { line } from '../text';
import { Head } from '../ui/panel';
import { QueryTable } from '../ui/query-table';
import { Tabs } from '../ui/tabs';

const TABS = [
  { id: 'use', name: 'In use' },
  { id: 'setup', name: 'Set up a client' },
] as const;

export default function Clients() {
  return (
    <>
      <Head title="Clients" />
      <Tabs tabs={TABS} label="Clients">
        {(tab) => (tab === 'setup' ? <Setup /> : <InUse />)}
      </Tabs>
    </>
  );
}

interface Agent {
  UserAgent: string;
  Calls: number;
  Callers: number;
  Failed: number;
  LastSeen: string;
}

interface WrongPath {
  Method: string;
  Path: string;
  Reason: string;
  Calls: number;
  Agents: string[];
}

interface Version {
  ApiVersion: string;
  Surface: string;
  Calls: number;
  LastSeen: string;
}

interface Retrying {
  Sdk: string;
  Version: string;
  Calls: number;
  Retries: number;
}

/** SDKs made by Stainless number their attempts in a header, from 0. Headers count as content. */
function Retries({ within, purpose }: { within: string; purpose: string }) {
  const csl = `${within}
| extend Sdk = tostring(RequestHeaders['x-stainless-lang']), Version = tostring(RequestHeaders['x-stainless-package-version']), Attempt = toint(RequestHeaders['x-stainless-retry-count'])
| where Sdk != ''
| summarize Calls = count(), Retries = countif(Attempt > 0) by Sdk, Version
| top 50 by Calls desc`;
  return (
    <QueryTable<Retrying>
      title="Official SDKs and their retries"
      csl={csl}
      purpose={purpose}
      none="No official SDK has called in this time range."
      columns={[
        { name: 'SDK', show: (row) => line(row.Sdk) },
        { name: 'Version', show: (row) => line(row.Version) },
        { name: 'Calls', isNumber: true, show: (row) => format.number(row.Calls) },
        { name: 'Retries', isNumber: true, show: (row) => format.percent(row.Retries, row.Calls) },
      ]}
    />
  );
}

function InUse() {
  const within = `Interactions\n| where ${inRange(rangeOf(place.value.params))}`;
  const agents = `${within}
| summarize Calls = count(), Callers = dcount(CallerIpAddress), Failed = countif(ResponseCode >= 400),
    LastSeen = max(TimeGenerated) by UserAgent
| top 50 by Calls desc`;
  const wrong = `${within} and ResponseCode in (404, 405) and (BackendId == '' or OperationId == '')
| summarize Calls = count(), Agents = make_set(UserAgent, 3)
    by Method, Path = tostring(split(Url, '?')[0]), Reason = LastErrorReason
| top 50 by Calls desc`;
  const versions = `${within} and OperationId != ''
| summarize Calls = count(), LastSeen = max(TimeGenerated) by ApiVersion, Surface
| top 50 by Calls desc`;
  return (
    <div class="stack">
      <QueryTable<Agent>
        title="Programs"
        note="by user agent"
        csl={agents}
        none="Nobody has called in this time range."
        columns={[
          { name: 'User agent', show: (row) => line(row.UserAgent) || '(none)' },
          { name: 'Calls', isNumber: true, show: (row) => format.number(row.Calls) },
          { name: 'Callers', isNumber: true, show: (row) => format.number(row.Callers) },
          { name: 'Failed', isNumber: true, show: (row) => format.percent(row.Failed, row.Calls) },
          { name: 'Last seen', isNumber: true, show: (row) => format.timeInZone(row.LastSeen) },
        ]}
      />
      <Reveal id="retries of clients">
        {(purpose) => <Retries within={within} purpose={purpose} />}
      </Reveal>
      <QueryTable<WrongPath>
        title="Wrong paths"
        note="unknown to the gateway"
        csl={wrong}
        none="Every call went to a path that is known."
        columns={[
          { name: 'Method', show: (row) => row.Method },
          { name: 'Path', show: (row) => <span class="mono">{line(row.Path)}</span> },
          { name: 'Reason', show: (row) => line(row.Reason) },
          { name: 'Calls', isNumber: true, show: (row) => format.number(row.Calls) },
          { name: 'Programs', show: (row) => line((row.Agents ?? []).join(', ')) },
        ]}
      />
      <QueryTable<Version>
        title="API versions"
        csl={versions}
        none="Nobody has called in this time range."
        columns={[
          { name: 'Version', show: (row) => line(row.ApiVersion) || '(none)' },
          { name: 'Surface', show: (row) => row.Surface },
          { name: 'Calls', isNumber: true, show: (row) => format.number(row.Calls) },
          { name: 'Last seen', isNumber: true, show: (row) => format.timeInZone(row.LastSeen) },
        ]}
      />
    </div>
  );
}
