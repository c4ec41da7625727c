/** An alert rule of the desired state, removed: what takes its place is said first. */
import { useState } from 'preact/hooks';
import { type AlertRule, deleteRule, type RuleConfig, readRule } from '../api/alerts';
import { asFailure } from '../api/failure';
import type { Tagged } from '../api/http';
import { line } from '../text';
import { Button } from '../ui/button';
import { Current } from '../ui/current';
import { Dialog } from '../ui/dialog';
import { INSTEAD } from './origin';

interface Props {
  found: AlertRule;
  onClose: () => void;
  onDone: () => void;
}

export function RemoveRule({ found, onClose, onDone }: Props) {
  const { id } = found.rule;
  const title = `Remove alert rule ${line(id)}`;
  return (
    <Current title={title} read={(signal: AbortSignal) => readRule(id, signal)} onClose={onClose}>
      {({ etag }: Tagged<RuleConfig>) => (
        <Form title={title} found={found} etag={etag} onClose={onClose} onDone={onDone} />
      )}
    </Current>
  );
}

function Form({ title, found, etag, onClose, onDone }: Props & { title: string; etag: string }) {
  const [trouble, setTrouble] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await deleteRule(found.rule.id, etag);
      onDone();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        <p>
          {found.replaces
            ? `On this gateway ${INSTEAD[found.replaces]} takes its place.`
            : 'Nothing takes its place. What fires of it is resolved, and its sinks are told.'}{' '}
          Settings › Versions leads back.
        </p>
        {trouble && (
          <p class="trouble" role="alert">
            {line(trouble)}
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
