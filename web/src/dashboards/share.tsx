/** Dashboards that everybody sees, made, changed and removed: a part of the desired state. */
import { useState } from 'preact/hooks';
import type { Tagged } from '../api/http';
import { type DashboardConfig, deleteDashboard, putDashboard, readDashboard } from '../api/state';
import { line } from '../text';
import { Current } from '../ui/current';
import { Input } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';
import { JsonDialog } from './json';
import { fromConfig, idOf, toConfig } from './list';
import { type Dashboard, toJson } from './model';

interface ShareProps {
  dashboard: Dashboard;
  onClose: () => void;
  onDone: (id: string) => void;
}

export function Share({ dashboard, onClose, onDone }: ShareProps) {
  const [id, setId] = useState(idOf(dashboard.name));
  const share = async (reason: string) => {
    await putDashboard(toConfig(id.trim(), dashboard), null, reason);
    onDone(id.trim());
  };
  return (
    <FormDialog
      title={`Share ${line(dashboard.name)}`}
      verb="Share"
      isReady={id.trim() !== ''}
      onSubmit={share}
      onClose={onClose}
    >
      <p>
        Whoever may query will see it. The one in this browser stays, and is another from then on.
      </p>
      <Input
        label="Id"
        value={id}
        onChange={setId}
        required
        maxLength={128}
        hint="Addresses and the command line name it by this."
      />
    </FormDialog>
  );
}

interface Props {
  id: string;
  onClose: () => void;
  onDone: () => void;
}

export function Change({ id, onClose, onDone }: Props) {
  const title = `Shared dashboard ${line(id)}`;
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readDashboard(id, signal)}
      onClose={onClose}
    >
      {({ value, etag }: Tagged<DashboardConfig>) => (
        <JsonDialog
          title={title}
          first={toJson(fromConfig(value))}
          verb="Save for everybody"
          hint="It is checked as a whole before it holds, and is a version that can be rolled back."
          reason="optional"
          keep={async (dashboard, reason) => {
            await putDashboard(toConfig(id, dashboard), etag, reason);
            onDone();
          }}
          onClose={onClose}
        />
      )}
    </Current>
  );
}

export function Remove({ id, onClose, onDone }: Props) {
  const title = `Remove shared dashboard ${line(id)}`;
  const remove = async (etag: string, reason: string) => {
    await deleteDashboard(id, etag, reason);
    onDone();
  };
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readDashboard(id, signal)}
      onClose={onClose}
    >
      {({ value, etag }: Tagged<DashboardConfig>) => (
        <FormDialog
          title={title}
          verb="Remove"
          look="danger"
          onSubmit={(reason) => remove(etag, reason)}
          onClose={onClose}
        >
          <p>
            Nobody will see “{line(value.name)}” any more. Copies in browsers stay; Settings ›
            Versions leads back.
          </p>
        </FormDialog>
      )}
    </Current>
  );
}
