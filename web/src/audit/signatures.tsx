/** How far the ledger is signed, by which keys, and what an auditor keeps elsewhere to hold it against. */
import { objects, query } from '../api/kusto';
import { download } from '../export';
import * as format from '../format';
import { inRange, rangeOf } from '../kql/text';
import { useLoad } from '../load';
import { place } from '../location';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Copy, Snippet } from '../ui/copy';
import { Empty, Failed } from '../ui/empty';
import { Facts, Loading, Panel } from '../ui/panel';
import { QueryTable } from '../ui/query-table';
import { type Checkpoint, canWrite, note, pem } from './note';

interface Unsigned {
  Records: number;
  Oldest: string | null;
}

/** `audit verify` finds an end of more than an hour that nobody signed. */
const LATE_MS = 3_600_000;

const NOTES = ['BackendHealth', 'AdminActions', 'ContentReads', 'SecurityEvents', 'Alerts'];
// What is not signed ended after the last signature, and no call takes longer than a day.
const CSL = `let Signed = toscalar(LedgerCheckpoints | summarize max(SignedSequence));
let At = toscalar(LedgerCheckpoints | summarize max(TimeGenerated));
LedgerCheckpoints | top 1 by SignedSequence desc;
union (Interactions | where TimeGenerated > At - 1d | project LedgerSequence, Ended = ClosedAt),
    ${[...NOTES, 'CostAdjustments']
      .map((table) => `(${table} | project LedgerSequence, Ended = TimeGenerated)`)
      .join(',\n    ')}
| where LedgerSequence > Signed
| summarize Records = count(), Oldest = min(Ended)`;

export function Signatures() {
  const found = useLoad(CSL, async (signal) => {
    const { tables } = await query(CSL, { signal });
    const [last] = tables[0] ? objects<Checkpoint>(tables[0]) : [];
    const [unsigned] = tables[1] ? objects<Unsigned>(tables[1]) : [];
    return { last, unsigned: unsigned ?? { Records: 0, Oldest: null } };
  });
  const { last, unsigned } = found.value ?? {};
  return (
    <>
      <Panel
        title="Signatures"
        note={last && unsigned && <Badge {...standing(unsigned)} />}
        actions={<Button icon="refresh" aria-label="Refresh signatures" onClick={found.again} />}
      >
        {found.failure && <Failed failure={found.failure} again={found.again} />}
        {!found.value && !found.failure && <Loading />}
        {found.value && !last && (
          <Empty
            kind="no-traffic"
            text="The tables hold no signature yet. The gateway signs within a minute after the first record."
          />
        )}
        {last && unsigned && <Signed last={last} unsigned={unsigned} />}
      </Panel>
      <Keys />
    </>
  );
}

function standing({ Records, Oldest }: Unsigned): { tone: Tone; text: string } {
  const isLate = Oldest !== null && Date.now() - Date.parse(Oldest) > LATE_MS;
  if (isLate) return { tone: 'bad', text: 'not signed for more than an hour' };
  return Records > 0
    ? { tone: 'good', text: 'signed but for the newest' }
    : { tone: 'good', text: 'signed to the end' };
}

function Signed({ last, unsigned }: { last: Checkpoint; unsigned: Unsigned }) {
  const since =
    unsigned.Records === 0
      ? 'none'
      : `${format.counted(unsigned.Records, 'record')}, the first ${format.timeInZone(unsigned.Oldest)}`;
  const file = `checkpoint-${last.SignedSequence}.txt`;
  return (
    <>
      <Facts
        facts={[
          ['Vouched for', `everything up to sequence ${last.SignedSequence}`],
          ['Signed last', format.timeInZone(last.TimeGenerated)],
          ['Recorded since, not signed yet', since],
          ['Ledger', <Value key="ledger" text={last.LedgerId} name="the ledger's id" />],
          ['Public key (Ed25519)', <Value key="key" text={last.PublicKey} name="the key" />],
          ['Digest there', <Value key="digest" text={last.Digest} name="the digest" />],
        ]}
      />
      <div class="panel-body stack">
        <p class="muted">
          Keep both files on another machine: with them, anybody can tell a ledger that was changed,
          cut off or written anew. A key that is read here proves nothing by itself: compare it with
          the one that <code>gatehouse audit public-key</code> printed when the gateway was set up.
        </p>
        <div class="row-actions">
          <Button onClick={() => download(new Blob([pem(last.PublicKey)]), 'ledger.pub')}>
            Save public key
          </Button>
          {canWrite() && (
            <Button onClick={async () => download(new Blob([await note(last)]), file)}>
              Save checkpoint
            </Button>
          )}
        </div>
        <Snippet
          name="Verify offline"
          text={`gatehouse audit verify --ledger-dir data/ledger --public-key ledger.pub --checkpoint ${canWrite() ? file : 'checkpoint.txt'}`}
        />
      </div>
    </>
  );
}

const Value = ({ text, name }: { text: string; name: string }) => (
  <span class="mono">
    {text} <Copy text={text} name={name} />
  </span>
);

interface Key {
  PublicKey: string;
  Signatures: number;
  First: string;
  Last: string;
  Until: number;
}

const Keys = () => (
  <QueryTable<Key>
    title="Keys that signed"
    note="where a new one appears, somebody has set it"
    csl={`LedgerCheckpoints
| where ${inRange(rangeOf(place.value.params))}
| summarize Signatures = count(), First = min(TimeGenerated), Last = max(TimeGenerated), Until = max(SignedSequence) by PublicKey
| sort by Last desc`}
    none="Nothing was signed in this time range."
    columns={[
      { name: 'Public key', show: (row) => <span class="mono">{row.PublicKey}</span> },
      { name: 'Signatures', isNumber: true, show: (row) => format.number(row.Signatures) },
      { name: `First (${format.zoneName()})`, show: (row) => format.second(row.First) },
      { name: `Last (${format.zoneName()})`, show: (row) => format.second(row.Last) },
      { name: 'Up to sequence', isNumber: true, show: (row) => row.Until },
    ]}
  />
);
