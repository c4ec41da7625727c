/** Products: what subscriptions give access to, and their limits. Written as the API takes them. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import type { Tagged } from '../api/http';
import { deleteProduct, type Product, putProduct, readProduct, readProducts } from '../api/state';
import { useLoad } from '../load';
import { line } from '../text';
import { Button } from '../ui/button';
import { Current } from '../ui/current';
import { Dialog } from '../ui/dialog';
import { Empty, Failed } from '../ui/empty';
import { TextArea } from '../ui/field';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';

const NEW: Product = {
  id: '',
  deployments: [],
  operations: [],
  limits: [{ tokens_per_minute: 50_000, calls: 100, renewal_period_s: 60 }],
};

export function Products() {
  const found = useLoad('products', readProducts);
  const [editing, setEditing] = useState<string | null>(null);
  const done = () => {
    setEditing(null);
    found.again();
  };
  return (
    <Panel
      title="Products"
      actions={
        <Button look="main" onClick={() => setEditing('')}>
          New product
        </Button>
      }
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <Empty
          kind="no-traffic"
          text="There is no product: subscriptions give access to everything."
        />
      )}
      {found.value && found.value.length > 0 && (
        <Table<Product>
          label="Products"
          rows={found.value}
          keyOf={(row) => row.id}
          columns={[
            { name: 'Id', show: (row) => line(row.id) },
            { name: 'Deployments', show: (row) => listed(row.deployments) },
            { name: 'Operations', show: (row) => listed(row.operations) },
            {
              name: 'Limits',
              show: (row) => (
                <span class="mono wrap">
                  {(row.limits ?? []).map((limit) => line(briefly(limit))).join('; ') || 'none'}
                </span>
              ),
            },
            {
              name: 'Actions',
              show: (row) => (
                <Button aria-label={`Change ${row.id}`} onClick={() => setEditing(row.id)}>
                  Change
                </Button>
              ),
            },
          ]}
        />
      )}
      {editing !== null && <Edit id={editing} onClose={() => setEditing(null)} onDone={done} />}
    </Panel>
  );
}

const listed = (names: string[] | undefined): string => line((names ?? []).join(', ')) || 'all';

/** A value that says nothing beyond the default: null, false, empty. */
const saysNothing = (value: unknown): boolean =>
  value === null || value === '' || value === false || (Array.isArray(value) && !value.length);

/** What a limit sets, in a line. */
function briefly(limit: unknown): string {
  if (typeof limit !== 'object' || limit === null) return '';
  return Object.entries(limit)
    .filter(([name, value]) => !saysNothing(value) && !name.endsWith('_header_name'))
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}

/** Without members that say nothing, so that what is set can be seen. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => !saysNothing(member));
  return Object.fromEntries(members.map(([name, member]) => [name, plain(member)]));
}

interface EditProps {
  /** Id of the one that is changed; empty for a new one. */
  id: string;
  onClose: () => void;
  onDone: () => void;
}

function Edit({ id, ...ends }: EditProps) {
  if (!id) return <Form title="New product" found={{ value: NEW, etag: null }} {...ends} />;
  const title = `Product ${id}`;
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readProduct(id, signal)}
      onClose={ends.onClose}
    >
      {(found: Tagged<Product>) => <Form title={title} found={found} {...ends} />}
    </Current>
  );
}

interface FormProps {
  title: string;
  /** There is no tag of a new one. */
  found: { value: Product; etag: string | null };
  onClose: () => void;
  onDone: () => void;
}

function Form({ title, found: { value: product, etag }, onClose, onDone }: FormProps) {
  const isNew = etag === null;
  const [text, setText] = useState(JSON.stringify(isNew ? NEW : plain(product), null, 2));
  const [trouble, setTrouble] = useState('');
  const run = async (work: () => Promise<unknown>) => {
    setTrouble('');
    try {
      await work();
      onDone();
    } catch (error) {
      setTrouble(error instanceof SyntaxError ? error.message : asFailure(error).message);
    }
  };
  const save = () =>
    run(() => {
      const body: Product = JSON.parse(text);
      if (!body.id) throw new SyntaxError('it needs an id');
      // Under another id it is another product, and a new one.
      return putProduct(body.id, body, body.id === product.id ? etag : null);
    });
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        class="dialog-body"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <TextArea
          label="Product as JSON"
          value={text}
          onChange={setText}
          rows={14}
          hint="Empty lists allow all. It is checked as a whole before it holds, and is a version that can be rolled back."
        />
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          {etag !== null && (
            <Button look="danger" onClick={() => run(() => deleteProduct(product.id, etag))}>
              Remove
            </Button>
          )}
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main">
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
