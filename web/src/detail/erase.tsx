/** Erasing what an interaction said: administrators order it, and say why. */
import { useState } from 'preact/hooks';
import { readMe } from '../api/admin';
import { asFailure } from '../api/failure';
import { eraseContent } from '../api/ledger';
import { useLoad } from '../load';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Input } from '../ui/field';

const PURPOSE_LENGTH_MAX = 1_000;

interface Props {
  id: string;
  onDone: () => void;
}

export function Erase({ id, onDone }: Props) {
  const me = useLoad('me', readMe);
  const [isOpen, setOpen] = useState(false);
  if (!me.value?.roles.includes('administrator')) return null;
  const done = () => {
    setOpen(false);
    onDone();
  };
  return (
    <>
      <Button onClick={() => setOpen(true)}>Erase content</Button>
      {isOpen && <Order id={id} onClose={() => setOpen(false)} onDone={done} />}
    </>
  );
}

function Order({ id, onClose, onDone }: Props & { onClose: () => void }) {
  const [text, setText] = useState('');
  const [trouble, setTrouble] = useState('');
  const [isRunning, setRunning] = useState(false);
  const purpose = text.trim();
  const submit = async (event: Event) => {
    event.preventDefault();
    setRunning(true);
    setTrouble('');
    try {
      const { erasure_id, is_done } = await eraseContent(id, purpose);
      if (is_done) return onDone();
      setTrouble(
        `Order ${erasure_id} is on record and not carried out yet. It needs no second one.`,
      );
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
    setRunning(false);
  };
  return (
    <Dialog title="Erase content" onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        <p>
          Prompt and answer go from the ledger and the tables, for good. Who called, when, tokens
          and cost stay, and so does the proof of the record.
        </p>
        <Input
          label="Why"
          value={text}
          onChange={setText}
          required
          maxLength={PURPOSE_LENGTH_MAX}
          placeholder="such as: right to erasure, request 4711"
        />
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={purpose === '' || isRunning}>
            {isRunning ? 'Erasing…' : 'Erase for good'}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
