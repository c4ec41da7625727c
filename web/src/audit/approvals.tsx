/** Who asked to read content, and who agreed. */
import { useState } from 'preact/hooks';
import { type Approval, decide, readApprovals, requestApproval } from '../api/approvals';
import { asFailure } from '../api/failure';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Input } from '../ui/field';
import { Panel } from '../ui/panel';
import { Table } from '../ui/table';

const TONES: Record<Approval['state'], Tone> = {
  waiting: 'warn',
  approved: 'good',
  denied: 'bad',
  ended: 'quiet',
};

const time = (seconds: number): string => format.time(new Date(seconds * 1000).toISOString());

export function Approvals() {
  const { value, failure, again } = useLoad('approvals', readApprovals);
  const [purpose, setPurpose] = useState('');
  const [trouble, setTrouble] = useState('');
  const act = async (step: () => Promise<unknown>) => {
    setTrouble('');
    try {
      await step();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
    again();
  };
  const ask = (event: Event) => {
    event.preventDefault();
    act(() => requestApproval(purpose.trim())).then(() => setPurpose(''));
  };
  if (failure) return <Failed failure={failure} again={again} />;
  if (!value) return null;
  if (!value.is_needed) {
    return (
      <Panel title="Approvals">
        <p class="panel-body muted">
          Nobody has to approve here: prompts and answers are read for a stated purpose.
        </p>
      </Panel>
    );
  }
  return (
    <Panel title="Approvals" note="reading content takes another person's approval">
      <form class="filters panel-body" onSubmit={ask}>
        <Input
          label="Purpose"
          value={purpose}
          onChange={setPurpose}
          required
          maxLength={1000}
          placeholder="such as: complaint 4711"
        />
        <Button type="submit" look="main" disabled={!purpose.trim()}>
          Ask for approval
        </Button>
      </form>
      {trouble && (
        <p class="panel-body trouble" role="alert">
          {trouble}
        </p>
      )}
      <Table<Approval>
        label="Approvals"
        rows={value.items}
        keyOf={(row) => row.id}
        columns={[
          { name: `Asked (${format.zoneName()})`, show: (row) => time(row.requested_at_s) },
          { name: 'Who', show: (row) => line(row.requester_name || row.requester_id) },
          { name: 'Purpose', show: (row) => line(row.purpose) },
          { name: 'State', show: (row) => <Badge tone={TONES[row.state]} text={row.state} /> },
          { name: 'Decided by', show: (row) => line(row.approver_name) },
          { name: 'Ends', show: (row) => time(row.ends_at_s) },
          {
            name: 'Decide',
            show: (row) =>
              row.state === 'waiting' && (
                <>
                  <Button onClick={() => act(() => decide(row.id, 'approve'))}>Approve</Button>{' '}
                  <Button look="danger" onClick={() => act(() => decide(row.id, 'deny'))}>
                    Deny
                  </Button>
                </>
              ),
          },
        ]}
      />
    </Panel>
  );
}
