/** A dialog that does one thing: what is filled in, why it is done, what went wrong, and the way out. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import { line } from '../text';
import { Button } from './button';
import { Dialog } from './dialog';
import { Input } from './field';

const REASON_LENGTH_MAX = 1_000;

/** What is done; what it throws is shown, and the dialog stays. */
type Work = (reason: string) => unknown;

interface Props {
  title: string;
  /** What the button says that does it. */
  verb: string;
  look?: 'main' | 'danger';
  /** What it needs is filled in. */
  isReady?: boolean;
  /** Whether a reason is asked for; it goes on record. */
  reason?: 'optional' | 'required' | 'none';
  onSubmit: Work;
  /** Removes what the form is of; without it there is nothing to remove. */
  onRemove?: Work | undefined;
  onClose: () => void;
  children: ComponentChildren;
}

export function FormDialog({
  title,
  verb,
  look = 'main',
  isReady = true,
  reason = 'optional',
  onSubmit,
  onRemove,
  onClose,
  children,
}: Props) {
  const [given, setGiven] = useState('');
  const [trouble, setTrouble] = useState('');
  const [isRunning, setRunning] = useState(false);
  const run = async (work: Work) => {
    setRunning(true);
    setTrouble('');
    try {
      await work(given.trim());
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
    setRunning(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (!isRunning) run(onSubmit);
  };
  const lacks = !isReady || (reason === 'required' && !given.trim());
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        {children}
        {reason !== 'none' && (
          <Input
            label="Reason"
            value={given}
            onChange={setGiven}
            required={reason === 'required'}
            maxLength={REASON_LENGTH_MAX}
            hint={reason === 'required' ? 'It goes on record.' : 'It goes on record; may be empty.'}
          />
        )}
        {trouble && (
          <p class="trouble" role="alert">
            {line(trouble)}
          </p>
        )}
        <div class="dialog-foot" aria-busy={isRunning}>
          {onRemove && (
            <Button look="danger" disabled={isRunning} onClick={() => run(onRemove)}>
              Remove
            </Button>
          )}
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look={look} disabled={lacks || isRunning}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
