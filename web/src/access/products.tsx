/** Products: what subscriptions give access to, and their limits. Written as the API takes them. */
import { useState } from 'preact/hooks';
import type { Tagged } from '../api/http';
import { deleteProduct, type Product, putProduct, readProduct, readProducts } from '../api/state';
import { useLoad } from '../load';
import { line } from '../text';
import { Button } from '../ui/button';
import { Current } from '../ui/current';
import { Empty, Failed } from '../ui/empty';
import { TextArea } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';
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
  const save = async (reason: string) => {
    const body: Product = JSON.parse(text);
    if (!body.id) throw new SyntaxError('it needs an id');
    // Under another id it is another product, and a new one.
    await putProduct(body, body.id === product.id ? etag : null, reason);
    onDone();
  };
  const remove = async (etag: string, reason: string) => {
    await deleteProduct(product.id, etag, reason);
    onDone();
  };
  return (
    <FormDialog
      title={title}
      verb="Save"
      onSubmit={save}
      onRemove={etag === null ? undefined : (reason) => remove(etag, reason)}
      onClose={onClose}
    >
      <TextArea
        label="Product as JSON"
        value={text}
        onChange={setText}
        rows={14}
        hint="Empty lists allow all. It is checked as a whole before it holds, and is a version that can be rolled back."
      />
    </FormDialog>
  );
}
