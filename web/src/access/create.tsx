/** A new subscription. */
import { useState } from 'preact/hooks';
import { createSubscription, type Keyed } from '../api/access';
import { asFailure } from '../api/failure';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Input } from '../ui/field';

interface Props {
  onClose: () => void;
  onMade: (keyed: Keyed) => void;
}

export function Create({ onClose, onMade }: Props) {
  const [id, setId] = useState('');
  const [product, setProduct] = useState('');
  const [owner, setOwner] = useState('');
  const [trouble, setTrouble] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      onMade(
        await createSubscription({ id: id.trim(), product: product.trim(), owner: owner.trim() }),
      );
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Dialog title="New subscription" onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
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
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={!id.trim()}>
            Make it and show its keys
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
