/** What became of something that was sent by hand: place by place, or why not. */
import { line } from '../text';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Facts } from '../ui/panel';

interface Props {
  title: string;
  /** Why it failed as a whole; empty if it did not. */
  trouble: string;
  /** What there is to say of it beside. */
  note: string;
  /** What each place answered. */
  places: Record<string, unknown>;
  onClose: () => void;
}

export function Told({ title, trouble, note, places, onClose }: Props) {
  const facts = Object.entries(places).map(([place, answer]): [string, string] => [
    place,
    line(typeof answer === 'string' ? answer : JSON.stringify(answer)),
  ]);
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">
        {trouble && (
          <p class="trouble" role="alert">
            {line(trouble)}
          </p>
        )}
        {note && <p>{note}</p>}
        {facts.length > 0 && <Facts facts={facts} />}
        <div class="dialog-foot">
          <Button look="main" onClick={onClose}>
            Close
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
