/** What leads from one version of the desired state to another, line by line. */

import { type Change, readDiff } from '../api/state';
import { difference } from '../detail/difference';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Empty, Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';

interface Props {
  version: number;
  /** Compared with this version; with the one before if there is none. */
  from: number | null;
  title: string;
}

export function ChangesOf({ version, from, title }: Props) {
  const found = useLoad(`${version} ${from}`, (signal) => readDiff(version, from, signal));
  const changes = found.value?.changes ?? [];
  return (
    <Panel
      title={`Version ${version} ${title}`}
      note={
        found.value &&
        `${format.number(changes.length)} ${changes.length === 1 ? 'change' : 'changes'}`
      }
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value && changes.length === 0 && <Empty kind="no-traffic" text="Nothing differs." />}
      {changes.map((change) => (
        <One key={`${change.kind} ${change.id}`} change={change} />
      ))}
    </Panel>
  );
}

const SIGNS = { same: ' ', gone: '-', new: '+' } as const;
const text = (value: unknown): string =>
  value === null || value === undefined ? '' : JSON.stringify(value, null, 2);

function One({ change }: { change: Change }) {
  const name = line(`${change.kind} ${change.id}`);
  return (
    <div class="panel-body">
      <h3>
        {name} <span class="muted">{change.change}</span>
      </h3>
      <pre class="diff" role="group" tabIndex={0} aria-label={name}>
        {difference(text(change.before), text(change.after)).map(({ kind, text }, at) => (
          <span key={at} class={`diff-${kind}`}>
            {SIGNS[kind]} {line(text)}
          </span>
        ))}
      </pre>
    </div>
  );
}
