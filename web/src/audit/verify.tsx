/** The chain: proved on demand, from the first frame that is kept to the last. */
import { useState } from 'preact/hooks';
import { asFailure, type Failure } from '../api/failure';
import { type Finding, type Report, verifyLedger } from '../api/ledger';
import * as format from '../format';
import { param, setParams } from '../location';
import { line } from '../text';
import { Badge } from '../ui/badge';
import { Button } from '../ui/button';
import { Copy } from '../ui/copy';
import { Failed } from '../ui/empty';
import { Input } from '../ui/field';
import { Facts, Panel } from '../ui/panel';
import { Table } from '../ui/table';

export function Verify() {
  const [report, setReport] = useState<Report | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isRunning, setRunning] = useState(false);
  const run = async () => {
    setRunning(true);
    setFailure(null);
    try {
      setReport(await verifyLedger(param('from_place').trim(), param('to_place').trim()));
    } catch (error) {
      setFailure(asFailure(error));
    }
    setRunning(false);
  };
  return (
    <Panel
      title="Chain"
      note={report && <Badge tone={report.is_clean ? 'good' : 'bad'} text={verdict(report)} />}
      actions={
        <Button look="main" icon="check" disabled={isRunning} onClick={run}>
          {isRunning ? 'Verifying' : 'Verify now'}
        </Button>
      }
    >
      <div class="filters panel-body">
        <Input
          label="From"
          value={param('from_place')}
          onChange={(text) => setParams({ from_place: text })}
          placeholder="its beginning"
        />
        <Input
          label="To"
          value={param('to_place')}
          onChange={(text) => setParams({ to_place: text })}
          placeholder="its end"
        />
      </div>
      {failure && <Failed failure={failure} again={run} />}
      {!report && !failure && (
        <p class="panel-body muted">
          Every frame is read: gaps, checksums, the hash chain, interactions without an end. A large
          ledger takes minutes; calls go on meanwhile. A part is read in whole segments: name a
          sequence, or a time such as 2026-11-01T12:00:00Z.
        </p>
      )}
      {report && <Found report={report} />}
    </Panel>
  );
}

const verdict = ({ is_clean, is_part }: Report): string =>
  is_clean ? (is_part ? 'this part is clean' : 'clean') : 'not clean';

const signatures = ({ checkpoints, signed_sequence, signed_by }: Report): string =>
  checkpoints === 0
    ? 'none in this part'
    : `${format.number(checkpoints)}, up to sequence ${signed_sequence}, by ${signed_by.join(', ')}`;

function Found({ report }: { report: Report }) {
  return (
    <>
      <Facts
        facts={[
          [
            'Frames',
            `${format.number(report.frames)} (sequence ${report.first_sequence} to ${report.last_sequence})`,
          ],
          [
            'Segments and commits',
            `${format.number(report.segments)}, ${format.number(report.commits)}`,
          ],
          ['Interactions opened', format.number(report.opened)],
          ['closed', format.number(report.closed)],
          ['in flight', format.number(report.open)],
          ['refused', format.number(report.refused)],
          [
            'Erased payloads',
            `${format.number(report.erased)}, of ${format.number(report.erasures_ordered)} interactions ordered`,
          ],
          ['Signatures', signatures(report)],
          [
            'Last digest',
            <span key="digest" class="mono">
              {report.last_digest} <Copy text={report.last_digest} name="the digest" />
            </span>,
          ],
        ]}
      />
      {report.findings.length > 0 && (
        <Table<Finding>
          label="Findings"
          rows={report.findings}
          keyOf={(_, at) => String(at)}
          columns={[
            {
              name: 'What',
              show: (row) => <Badge tone="bad" text={row.kind.replaceAll('_', ' ')} />,
            },
            { name: 'Sequence', isNumber: true, show: (row) => row.sequence },
            { name: 'In words', show: (row) => line(row.text) },
          ]}
        />
      )}
    </>
  );
}
