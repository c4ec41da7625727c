/** The services behind the gateway: how they fare, and who takes them out of service. */
import { useState } from 'preact/hooks';
import { type Backend, drain, readBackends, undrain } from '../api/admin';
import { asFailure } from '../api/failure';
import { rows as queryRows } from '../api/kusto';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { FormDialog } from '../ui/form-dialog';
import { Facts, Head, Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';

export default function Backends() {
  const found = useLoad('backends', readBackends);
  return (
    <div class="stack">
      <Head title="Backends">
        <Button icon="refresh" onClick={found.again}>
          Refresh
        </Button>
      </Head>
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      <div class="columns">
        {found.value?.map((backend) => (
          <BackendPanel key={backend.id} backend={backend} onChanged={found.again} />
        ))}
      </div>
      <Changes />
    </div>
  );
}

function standing(backend: Backend): { tone: Tone; text: string } {
  if (backend.drain === 'everything') return { tone: 'warn', text: 'drained' };
  if (backend.drain === 'balanced') return { tone: 'warn', text: 'draining' };
  return backend.is_up ? { tone: 'good', text: 'up' } : { tone: 'bad', text: 'down' };
}

const CIRCUIT_TONES: Record<string, Tone> = {
  closed: 'good',
  half_open: 'warn',
  throttled: 'warn',
};

function BackendPanel({ backend, onChanged }: { backend: Backend; onChanged: () => void }) {
  const [isAsking, setAsking] = useState(false);
  const [trouble, setTrouble] = useState('');
  const isDrained = backend.drain !== 'undrained';
  const put = async () => {
    try {
      await undrain(backend.id);
      onChanged();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  const { connections } = backend;
  return (
    <Panel
      title={backend.id}
      note={<Badge {...standing(backend)} />}
      actions={
        isDrained ? (
          <Button onClick={put}>Put back into service</Button>
        ) : (
          <Button look="danger" onClick={() => setAsking(true)}>
            Drain
          </Button>
        )
      }
    >
      {trouble && <p class="trouble">{trouble}</p>}
      <Facts
        facts={[
          ['Calls in flight', format.number(backend.in_flight)],
          ['Failures in a row', format.number(backend.failures)],
          [
            'Circuit of its connections',
            <Badge tone={CIRCUIT_TONES[connections.state] ?? 'bad'} text={connections.state} />,
          ],
          ['Last failure', line(backend.last_failure)],
        ]}
      />
      {backend.circuits.length > 0 && (
        <Table
          label={`Circuits of ${backend.id}`}
          rows={backend.circuits}
          keyOf={(row) => row.deployment}
          columns={[
            { name: 'Deployment', show: (row) => line(row.deployment) },
            {
              name: 'Circuit',
              show: (row) => <Badge tone={CIRCUIT_TONES[row.state] ?? 'bad'} text={row.state} />,
            },
            { name: 'Failures', isNumber: true, show: (row) => format.number(row.failures) },
            { name: 'Back in', isNumber: true, show: (row) => format.duration(row.back_in_ms) },
          ]}
        />
      )}
      {isAsking && (
        <DrainDialog
          backend={backend}
          onClose={() => setAsking(false)}
          onDone={() => {
            setAsking(false);
            onChanged();
          }}
        />
      )}
    </Panel>
  );
}

interface DrainProps {
  backend: Backend;
  onClose: () => void;
  onDone: () => void;
}

function DrainDialog({ backend, onClose, onDone }: DrainProps) {
  const [withStateful, setWithStateful] = useState(false);
  const submit = async () => {
    await drain(backend.id, withStateful);
    onDone();
  };
  return (
    <FormDialog
      title={`Drain ${backend.id}`}
      verb="Drain"
      look="danger"
      reason="none"
      onSubmit={submit}
      onClose={onClose}
    >
      <p>It gets no new calls. Those in flight finish.</p>
      <label class="check">
        <input
          type="checkbox"
          checked={withStateful}
          onChange={(event) => setWithStateful(event.currentTarget.checked)}
        />
        Also calls about files, threads and other objects that live on it; they will fail
      </label>
    </FormDialog>
  );
}

interface Change {
  TimeGenerated: string;
  BackendId: string;
  Scope: string;
  DeploymentName: string;
  State: string;
  FormerState: string;
  Reason: string;
  Message: string;
}

const CHANGES = `BackendHealth
| where TimeGenerated > ago(7d) and not(IsPeriodic)
| top 100 by TimeGenerated desc
| project TimeGenerated, BackendId, Scope, DeploymentName, State, FormerState, Reason, Message`;

function Changes() {
  const found = useLoad(CHANGES, (signal) => queryRows<Change>(CHANGES, { signal }));
  return (
    <Panel title="Changes" note="last 7 days">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {found.value?.length === 0 && (
        <Empty kind="no-traffic" text="No backend has changed its state." />
      )}
      {found.value && found.value.length > 0 && (
        <Table
          label="Changes of backends"
          rows={found.value}
          keyOf={(_, at) => String(at)}
          columns={[
            {
              name: `Time (${format.zoneName()})`,
              show: (row) => <span class="mono nowrap">{format.time(row.TimeGenerated)}</span>,
            },
            { name: 'Backend', show: (row) => row.BackendId },
            { name: 'What', show: (row) => line(row.DeploymentName || row.Scope) },
            { name: 'State', show: (row) => `${row.FormerState} → ${row.State}` },
            { name: 'Reason', show: (row) => row.Reason.replaceAll('_', ' ') },
            { name: 'Message', show: (row) => line(row.Message) },
          ]}
        />
      )}
    </Panel>
  );
}
