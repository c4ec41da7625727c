/** Saved queries beside the editor. */
import { useState } from 'preact/hooks';
import { Button } from '../ui/button';
import { Input } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';
import { BUILT_IN, forget, own, type SavedQuery, save } from './saved';

interface Props {
  onPick: (query: SavedQuery) => void;
  current: () => string;
}

export function Shelf({ onPick, current }: Props) {
  const [naming, setNaming] = useState('');
  const [isNaming, setIsNaming] = useState(false);
  const submit = () => {
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
        <FormDialog
          title="Save the query"
          verb="Save"
          isReady={naming.trim() !== ''}
          reason="none"
          onSubmit={submit}
          onClose={() => setIsNaming(false)}
        >
          <Input
            label="Name"
            value={naming}
            onChange={setNaming}
            required
            maxLength={100}
            hint="It is kept in this browser."
          />
        </FormDialog>
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
