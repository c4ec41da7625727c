/** A dashboard as JSON, to be read, copied and changed. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { TextArea } from '../ui/field';
import { type Dashboard, fromJson } from './model';

interface Props {
  title: string;
  first: string;
  /** What the button says that keeps it. */
  verb: string;
  hint?: string;
  keep: (dashboard: Dashboard) => unknown;
  onClose: () => void;
}

export function JsonDialog({ title, first, verb, hint, keep, onClose }: Props) {
  const [text, setText] = useState(first);
  const [trouble, setTrouble] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    setTrouble('');
    try {
      await keep(fromJson(text));
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        <TextArea
          label="Name, parameters, tiles. Copy it to hand it on."
          value={text}
          onChange={setText}
          rows={16}
          hint={hint}
        />
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={!text.trim()}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
