/** New keys, shown this once. */
import type { Keyed } from '../api/access';
import { Button } from '../ui/button';
import { Snippet } from '../ui/copy';
import { Dialog } from '../ui/dialog';

export function Keys({ keyed, onClose }: { keyed: Keyed; onClose: () => void }) {
  return (
    <Dialog title={`Keys of ${keyed.subscription.id}`} onClose={onClose}>
      <div class="dialog-body">
        <p>
          They are shown this once: the gateway keeps their hashes only. Hand them over by a way
          that keeps secrets.
        </p>
        {keyed.primary_key && <Snippet name="First key" text={keyed.primary_key} />}
        {keyed.secondary_key && <Snippet name="Second key" text={keyed.secondary_key} />}
        <div class="dialog-foot">
          <Button look="main" onClick={onClose}>
            I have kept them
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
