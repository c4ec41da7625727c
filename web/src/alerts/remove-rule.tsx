/** An alert rule of the desired state, removed: what takes its place is said first. */
import { type AlertRule, deleteRule, type RuleConfig, readRule } from '../api/alerts';
import type { Tagged } from '../api/http';
import { line } from '../text';
import { Current } from '../ui/current';
import { FormDialog } from '../ui/form-dialog';
import { INSTEAD } from './origin';

interface Props {
  found: AlertRule;
  onClose: () => void;
  onDone: () => void;
}

export function RemoveRule({ found, onClose, onDone }: Props) {
  const { id } = found.rule;
  const title = `Remove alert rule ${line(id)}`;
  const remove = async (etag: string, reason: string) => {
    await deleteRule(id, etag, reason);
    onDone();
  };
  return (
    <Current title={title} read={(signal: AbortSignal) => readRule(id, signal)} onClose={onClose}>
      {({ etag }: Tagged<RuleConfig>) => (
        <FormDialog
          title={title}
          verb="Remove"
          look="danger"
          onSubmit={(reason) => remove(etag, reason)}
          onClose={onClose}
        >
          <p>
            {found.replaces
              ? `On this gateway ${INSTEAD[found.replaces]} takes its place.`
              : 'Nothing takes its place. What fires of it is resolved, and its sinks are told.'}{' '}
            Settings › Versions leads back.
          </p>
        </FormDialog>
      )}
    </Current>
  );
}
