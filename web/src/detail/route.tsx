/** Which way a request went, and what was decided on it. */
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Status } from '../ui/badge';
import { Failed } from '../ui/empty';
import { HostileText } from '../ui/hostile';
import { Facts, Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { headerLines } from './body';
import { type ErrorDetail, type Interaction, readContent } from './interaction';
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
      </Panel>
      <Reveal id={interaction.CorrelationId}>
        {(purpose) => <Heads id={interaction.CorrelationId} purpose={purpose} />}
      </Reveal>
    </div>
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
