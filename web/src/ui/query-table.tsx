/** A query and its rows as a table, in a panel of its own. */
import type { ComponentChildren } from 'preact';
import { rows as queryRows } from '../api/kusto';
import { useLoad } from '../load';
import { address } from '../location';
import { Empty, Failed } from './empty';
import { Loading, Panel } from './panel';
import { Table, type TableColumn } from './table';

interface Props<T> {
  title: string;
  note?: ComponentChildren;
  csl: string;
  columns: readonly TableColumn<T>[];
  /** What content is read for, where the query reads some. */
  purpose?: string;
  /** Said when there are no rows. */
  none: string;
}

export function QueryTable<T>({ title, note, csl, columns, purpose = '', none }: Props<T>) {
  const found = useLoad(csl, (signal) => queryRows<T>(csl, { purpose, signal }));
  return (
    <Panel
      title={title}
      note={note}
      actions={
        <a class="quiet-link" href={address('/logs', { q: csl })}>
          Open in Logs
        </a>
      }
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && <Empty kind="no-traffic" text={none} />}
      {found.value && found.value.length > 0 && (
        <Table label={title} rows={found.value} columns={columns} keyOf={(_, at) => String(at)} />
      )}
    </Panel>
  );
}
