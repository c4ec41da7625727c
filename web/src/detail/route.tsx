/** Which way a request went, and what was decided on it. */
import { readTrail } from '../api/ledger';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Status } from '../ui/badge';
import { Failed } from '../ui/empty';
import { HostileText } from '../ui/hostile';
import { Facts, Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { headerLines } from './body';
import { type Attempt, type ErrorDetail, type Interaction, readContent } from './interaction';
import { Reveal } from './reveal';

export function Route({ interaction }: { interaction: Interaction }) {
  const changes = interaction.BackendRequestChanges;
  return (
    <div class="stack">
      <Panel title="Decision">
        <Facts
          facts={[
            ['Subscription', line(interaction.ApimSubscriptionId)],
            ['Product', line(interaction.ProductId)],
            ['User', line(interaction.UserId)],
            ['Application', line(interaction.CallerApplicationId)],
            ['Groups', line((interaction.CallerGroups ?? []).join(', '))],
            ['Operation', line(interaction.OperationId)],
            ['Surface', interaction.Surface],
            [
              'Result',
              interaction.LastErrorReason ? line(interaction.LastErrorReason) : 'admitted',
            ],
          ]}
        />
        {(interaction.Errors ?? []).length > 0 && <Errors errors={interaction.Errors ?? []} />}
      </Panel>
      <Limits interaction={interaction} />
      <Panel title="Backend" note={format.counted(interaction.Attempts, 'attempt')}>
        <Facts
          facts={[
            ['Backend used last', interaction.BackendId],
            ['Address', line(interaction.BackendUrl)],
            ['Protocol', interaction.BackendProtocol],
            [
              'Status',
              interaction.BackendResponseCode === null ? (
                ''
              ) : (
                <Status code={interaction.BackendResponseCode} />
              ),
            ],
            ['Time', format.duration(interaction.BackendTime)],
            ['Changed in the body', changes || 'nothing'],
          ]}
        />
        {interaction.BackendAttempts && <Attempts attempts={interaction.BackendAttempts} />}
      </Panel>
      <Reveal id={interaction.CorrelationId}>
        {(purpose) => <Heads id={interaction.CorrelationId} purpose={purpose} />}
      </Reveal>
    </div>
  );
}

/** One after the other, or at once where a second was begun for a slow first. */
const Attempts = ({ attempts }: { attempts: Attempt[] }) => (
  <Table<Attempt>
    label="Attempts"
    rows={attempts}
    keyOf={(row) => String(row.Attempt)}
    columns={[
      { name: 'Attempt', isNumber: true, show: (row) => row.Attempt },
      { name: 'Backend', show: (row) => line(row.BackendId) },
      { name: 'Sent after', isNumber: true, show: (row) => format.duration(row.SentAfter) },
      {
        name: 'Answer',
        show: (row) =>
          row.Status === null ? 'none that was passed on' : <Status code={row.Status} />,
      },
    ]}
  />
);

interface Counted {
  step: string;
  counter: string;
  amount: number;
}

const COUNTED: Record<string, string> = {
  reserved: 'set aside before the call',
  added: 'used besides',
  settled: 'used, in place of what was set aside',
};

/** What limits counted, as the ledger has it: the decision that let the call through, and its account. */
function Limits({ interaction }: { interaction: Interaction }) {
  const { CorrelationId: id, LedgerSequence: last } = interaction;
  const found = useLoad(id, (signal) => readTrail(id, last, signal));
  const steps = (found.value?.steps ?? []).filter(({ kind }) => kind === 'charges');
  const rows = steps.flatMap(({ facts }): Counted[] =>
    (facts.charges as Omit<Counted, 'step'>[]).map((charge) => ({
      ...charge,
      step: `${COUNTED[String(facts.step)] ?? facts.step}${facts.is_estimated ? ', estimated' : ''}`,
    })),
  );
  const version = found.value?.steps[0]?.facts.rules_version;
  return (
    <Panel
      title="Limits"
      note={typeof version === 'number' && `by version ${version} of the rules`}
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value && rows.length === 0 && (
        <p class="panel-body muted">No limit counted this call.</p>
      )}
      {rows.length > 0 && (
        <Table<Counted>
          label="Limits that counted"
          rows={rows}
          keyOf={(_, at) => String(at)}
          columns={[
            { name: 'Counter', show: (row) => <span class="mono">{line(row.counter)}</span> },
            { name: 'Amount', isNumber: true, show: (row) => format.number(row.amount) },
            { name: 'Step', show: (row) => row.step },
          ]}
        />
      )}
    </Panel>
  );
}

/** Heads to and from the backend. */
function Heads({ id, purpose }: { id: string; purpose: string }) {
  const found = useLoad(id, (signal) => readContent(id, purpose, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const text = (headers: Record<string, unknown> | null) =>
    headerLines(headers).join('\n') || 'nothing';
  return (
    <div class="columns">
      <Panel title="Sent to the backend" note="secrets are not on record">
        <div class="panel-body">
          <HostileText label="Head sent" text={text(found.value.BackendRequestHeaders)} />
        </div>
      </Panel>
      <Panel title="Came from the backend">
        <div class="panel-body">
          <HostileText label="Head received" text={text(found.value.BackendResponseHeaders)} />
        </div>
      </Panel>
    </div>
  );
}

function Errors({ errors }: { errors: ErrorDetail[] }) {
  return (
    <Table
      label="Errors on the way"
      rows={errors}
      keyOf={(_, at) => String(at)}
      columns={[
        { name: 'After', isNumber: true, show: (row) => format.duration(row.elapsed) },
        { name: 'Step', show: (row) => row.source },
        { name: 'Reason', show: (row) => line(row.reason) },
        { name: 'Message', show: (row) => line(row.message) },
        { name: 'Section', show: (row) => row.section },
      ]}
    />
  );
}
