/** A dashboard as JSON, to be read, copied and changed. */
import { useState } from 'preact/hooks';
import { TextArea } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';
import { type Dashboard, fromJson } from './model';

interface Props {
  title: string;
  first: string;
  /** What the button says that keeps it. */
  verb: string;
  hint?: string;
  /** Where it is kept, a reason goes on record. */
  reason: 'optional' | 'none';
  keep: (dashboard: Dashboard, reason: string) => unknown;
  onClose: () => void;
}

export function JsonDialog({ first, hint, keep, ...rest }: Props) {
  const [text, setText] = useState(first);
  return (
    <FormDialog
      isReady={text.trim() !== ''}
      onSubmit={(why) => keep(fromJson(text), why)}
      {...rest}
    >
      <TextArea
        label="Name, parameters, tiles. Copy it to hand it on."
        value={text}
        onChange={setText}
        rows={16}
        hint={hint}
      />
    </FormDialog>
  );
}
