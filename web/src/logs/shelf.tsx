/** Saved queries beside the editor. */
import { useState } from 'preact/hooks';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Input } from '../ui/field';
import { BUILT_IN, forget, own, type SavedQuery, save } from './saved';

interface Props {
  onPick: (query: SavedQuery) => void;
  current: () => string;
}

export function Shelf({ onPick, current }: Props) {
  const [naming, setNaming] = useState('');
  const [isNaming, setIsNaming] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    save({ name: naming.trim(), text: current() });
    setIsNaming(false);
    setNaming('');
  };
  return (
    <>
      <details class="menu">
        <summary class="button">Saved queries</summary>
        <div class="menu-body shelf">
          <List title="Everybody's" queries={BUILT_IN} onPick={onPick} />
          {own.value.length > 0 && (
            <List title="Yours" queries={own.value} onPick={onPick} onForget={forget} />
          )}
        </div>
      </details>
      <Button onClick={() => setIsNaming(true)}>Save</Button>
      {isNaming && (
        <Dialog title="Save the query" onClose={() => setIsNaming(false)}>
          <form class="dialog-body" onSubmit={submit}>
            <Input
              label="Name"
              value={naming}
              onChange={setNaming}
              required
              maxLength={100}
              hint="It is kept in this browser."
            />
            <div class="dialog-foot">
              <Button onClick={() => setIsNaming(false)}>Cancel</Button>
              <Button type="submit" look="main" disabled={!naming.trim()}>
                Save
              </Button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}

interface ListProps {
  title: string;
  queries: readonly SavedQuery[];
  onPick: (query: SavedQuery) => void;
  onForget?: (name: string) => void;
}

function List({ title, queries, onPick, onForget }: ListProps) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul>
        {queries.map((query) => (
          <li key={query.name}>
            <button
              type="button"
              class="menu-item"
              onClick={(event) => {
                event.currentTarget.closest('details')?.removeAttribute('open');
                onPick(query);
              }}
            >
              {query.name}
            </button>
            {onForget && (
              <Button
                icon="close"
                look="quiet"
                aria-label={`Forget ${query.name}`}
                onClick={() => onForget(query.name)}
              />
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
