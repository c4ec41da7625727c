/** Which way a request went, and what was decided on it. */
import * as format from '../format';
import { line } from '../text';
import { Status } from '../ui/badge';
import { HostileText } from '../ui/hostile';
import { Facts, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { headerLines } from './body';
import type { ErrorDetail, Interaction } from './interaction';

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
      <Panel title="Backend" note={`${format.number(interaction.Attempts)} attempts`}>
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
      <div class="columns">
        <Panel title="Sent to the backend" note="secrets are not on record">
          <div class="panel-body">
            <HostileText
              text={headerLines(interaction.BackendRequestHeaders).join('\n') || 'nothing'}
            />
          </div>
        </Panel>
        <Panel title="Came from the backend">
          <div class="panel-body">
            <HostileText
              text={headerLines(interaction.BackendResponseHeaders).join('\n') || 'nothing'}
            />
          </div>
        </Panel>
      </div>
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
