/** Another key in the place of one; the one before may work on for a while. */
import { useState } from 'preact/hooks';
import { type Keyed, readSubscription, rotateKey, type Subscription } from '../api/access';
import type { Tagged } from '../api/http';
import { Current } from '../ui/current';
import { Select } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';

const GRACES: readonly [string, string][] = [
  ['0', 'stops at once'],
  ['3600', 'works for another hour'],
  ['86400', 'works for another day'],
  ['604800', 'works for another week'],
];

interface Ends {
  onClose: () => void;
  onMade: (keyed: Keyed) => void;
}

export function Rotate({ id, ...ends }: { id: string } & Ends) {
  const title = `Rotate a key of ${id}`;
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readSubscription(id, signal)}
      onClose={ends.onClose}
    >
      {(found: Tagged<Subscription>) => <Form title={title} found={found} {...ends} />}
    </Current>
  );
}

interface FormProps extends Ends {
  title: string;
  found: Tagged<Subscription>;
}

function Form({ title, found, onClose, onMade }: FormProps) {
  const [key, setKey] = useState('primary');
  const [grace, setGrace] = useState('86400');
  const rotate = async (reason: string) => {
    const slot = key === 'secondary' ? 'secondary' : 'primary';
    onMade(await rotateKey(found, slot, Number(grace), reason));
  };
  return (
    <FormDialog
      title={title}
      verb="Rotate and show the new key"
      onSubmit={rotate}
      onClose={onClose}
    >
      <Select
        label="Key"
        value={key}
        options={[
          ['primary', 'the first'],
          ['secondary', 'the second'],
        ]}
        onChange={setKey}
      />
      <Select label="The key before" value={grace} options={GRACES} onChange={setGrace} />
    </FormDialog>
  );
}
