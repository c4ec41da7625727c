/** Dashboards that everybody sees, made, changed and removed: a part of the desired state. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import type { Tagged } from '../api/http';
import { type DashboardConfig, deleteDashboard, putDashboard, readDashboard } from '../api/state';
import { line } from '../text';
import { Button } from '../ui/button';
import { Current } from '../ui/current';
import { Dialog } from '../ui/dialog';
import { Input } from '../ui/field';
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
  const [trouble, setTrouble] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await putDashboard(toConfig(id.trim(), dashboard), null);
      onDone(id.trim());
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Dialog title={`Share ${line(dashboard.name)}`} onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
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
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={!id.trim()}>
            Share
          </Button>
        </div>
      </form>
    </Dialog>
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
          keep={async (dashboard) => {
            await putDashboard(toConfig(id, dashboard), etag);
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
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readDashboard(id, signal)}
      onClose={onClose}
    >
      {(found: Tagged<DashboardConfig>) => (
        <RemoveForm title={title} found={found} onClose={onClose} onDone={onDone} />
      )}
    </Current>
  );
}

interface RemoveProps {
  title: string;
  found: Tagged<DashboardConfig>;
  onClose: () => void;
  onDone: () => void;
}

function RemoveForm({ title, found: { value, etag }, onClose, onDone }: RemoveProps) {
  const [trouble, setTrouble] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await deleteDashboard(value.id, etag);
      onDone();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        <p>
          Nobody will see “{line(value.name)}” any more. Copies in browsers stay; Settings ›
          Versions leads back.
        </p>
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="danger">
            Remove
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
