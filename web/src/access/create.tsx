/** A new subscription. */
import { useState } from 'preact/hooks';
import { createSubscription, type Keyed } from '../api/access';
import { Input } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';

interface Props {
  onClose: () => void;
  onMade: (keyed: Keyed) => void;
}

export function Create({ onClose, onMade }: Props) {
  const [id, setId] = useState('');
  const [product, setProduct] = useState('');
  const [owner, setOwner] = useState('');
  const create = async (reason: string) => {
    const body = { id: id.trim(), product: product.trim(), owner: owner.trim() };
    onMade(await createSubscription(body, reason));
  };
  return (
    <FormDialog
      title="New subscription"
      verb="Make it and show its keys"
      isReady={id.trim() !== ''}
      onSubmit={create}
      onClose={onClose}
    >
      <Input
        label="Id"
        value={id}
        onChange={setId}
        required
        maxLength={128}
        hint="It stands in every record as ApimSubscriptionId."
      />
      <Input
        label="Product"
        value={product}
        onChange={setProduct}
        hint="Empty gives access to everything."
      />
      <Input
        label="Owner"
        value={owner}
        onChange={setOwner}
        hint="The id of a person or program; may be empty."
      />
    </FormDialog>
  );
}
