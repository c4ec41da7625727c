/** Versions of the desired state: what each changed, and the way back. */
import { useState } from 'preact/hooks';
import { readVersions, rollBack, type Version } from '../api/state';
import * as format from '../format';
import { useLoad } from '../load';
import { param, setParams } from '../location';
import { line } from '../text';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { FormDialog } from '../ui/form-dialog';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { ChangesOf } from './changes';

export function Versions() {
  const after = param('after');
  const found = useLoad(`versions ${after}`, (signal) => readVersions(after, signal));
  const [going, setGoing] = useState<Version | null>(null);
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const { items, next } = found.value;
  const chosen = Number(param('version')) || null;
  const newest = after ? null : items[0]?.version;
  return (
    <div class="stack">
      <Panel
        title="Versions"
        note="newest first; a rollback is a new version"
        actions={
          <>
            {after && <Button onClick={() => setParams({ after: null })}>Newest</Button>}
            {next && <Button onClick={() => setParams({ after: next })}>Older</Button>}
          </>
        }
      >
        {items.length === 0 && <Empty kind="no-traffic" text="There is no version yet." />}
        {items.length > 0 && (
          <Table<Version>
            label="Versions"
            rows={items}
            keyOf={(row) => String(row.version)}
            columns={[
              { name: 'Version', isNumber: true, show: (row) => row.version },
              {
                name: `Made (${format.zoneName()})`,
                show: (row) => (
                  <span class="mono nowrap">
                    {format.time(new Date(row.created_at_us / 1000).toISOString())}
                  </span>
                ),
              },
              { name: 'By', show: (row) => line(row.principal_name) },
              { name: 'What', show: (row) => line(row.operation) },
              { name: 'Why', show: (row) => line(row.message) },
              {
                name: 'Actions',
                show: (row) => (
                  <span class="row-actions">
                    <Button
                      aria-label={`Changes of version ${row.version}`}
                      aria-pressed={row.version === chosen}
                      onClick={() => setParams({ version: String(row.version) })}
                    >
                      Changes
                    </Button>
                    {row.version !== newest && (
                      <Button
                        aria-label={`Roll back to version ${row.version}`}
                        onClick={() => setGoing(row)}
                      >
                        Roll back
                      </Button>
                    )}
                  </span>
                ),
              },
            ]}
          />
        )}
      </Panel>
      {chosen && <ChangesOf key={chosen} version={chosen} from={null} title="changed" />}
      {going && newest && (
        <RollBack
          to={going.version}
          newest={newest}
          onClose={() => setGoing(null)}
          onDone={() => {
            setGoing(null);
            found.again();
          }}
        />
      )}
    </div>
  );
}

interface RollBackProps {
  to: number;
  newest: number;
  onClose: () => void;
  onDone: () => void;
}

function RollBack({ to, newest, onClose, onDone }: RollBackProps) {
  const goBack = async (reason: string) => {
    await rollBack(to, reason);
    onDone();
  };
  return (
    <FormDialog
      title={`Roll back to version ${to}`}
      verb="Roll back"
      look="danger"
      reason="required"
      onSubmit={goBack}
      onClose={onClose}
    >
      <ChangesOf version={to} from={newest} title="brings back" />
    </FormDialog>
  );
}
