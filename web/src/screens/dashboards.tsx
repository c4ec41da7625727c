/** Tiles of KQL with parameters. */
import { useState } from 'preact/hooks';
import '../style/dashboards.css';
import { readMe } from '../api/admin';
import { JsonDialog } from '../dashboards/json';
import { addressed, all, FIRST, type Listed, open, readShared } from '../dashboards/list';
import { type Dashboard, forget, literalOf, save, toJson } from '../dashboards/model';
import { Change, Remove, Share } from '../dashboards/share';
import { TilePanel } from '../dashboards/tile';
import { useLoad } from '../load';
import { param, setParams } from '../location';
import { line } from '../text';
import { Badge } from '../ui/badge';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Input, Select } from '../ui/field';
import { Head, Loading, Panel } from '../ui/panel';

const keyOf = ({ kind, id }: Listed): string => `${kind} ${id}`;

type Doing = 'read' | 'import' | 'share' | 'change' | 'remove';

export default function Dashboards() {
  const shared = useLoad('dashboards', readShared);
  const [doing, setDoing] = useState<{ what: Doing; to: string } | null>(null);
  const found = all(shared.value ?? []);
  const named = addressed(found);
  // What is not here may still be on its way.
  const isWaiting = !named && shared.isLoading;
  const shown = named ?? FIRST;
  return (
    <>
      <Head title="Dashboards">
        {!isWaiting && (
          <Tools shown={shown} onDo={(what) => setDoing({ what, to: keyOf(shown) })} />
        )}
      </Head>
      {shared.failure && (
        <Panel title="Shared dashboards">
          <Failed failure={shared.failure} again={shared.again} />
        </Panel>
      )}
      {isWaiting ? <Loading /> : <Shown shown={shown} found={found} />}
      {doing?.to === keyOf(shown) && (
        <Doings
          doing={doing.what}
          shown={shown}
          onChanged={shared.again}
          onClose={() => setDoing(null)}
        />
      )}
    </>
  );
}

function Shown({ shown, found }: { shown: Listed; found: Listed[] }) {
  const { parameters, tiles } = shown.dashboard;
  const values = Object.fromEntries(
    parameters.map((one) => [one.name, literalOf(one, param(`p.${one.name}`) || one.first)]),
  );
  return (
    <>
      <div class="filters">
        <Select
          label="Dashboard"
          value={keyOf(shown)}
          options={found.map((one) => [keyOf(one), nameOf(one)])}
          onChange={(key) => open(found.find((one) => keyOf(one) === key) ?? FIRST)}
        />
        {parameters.map(({ name, first }) => (
          <ParameterField key={`${keyOf(shown)} ${name} ${first}`} name={name} first={first} />
        ))}
        {shown.kind === 'shared' && <Badge tone="info" text="shared: everybody sees it" />}
      </div>
      {!addressed(found) && <Missing />}
      <div class="tiles">
        {tiles.map((tile, at) => (
          <TilePanel
            key={`${keyOf(shown)} ${at}`}
            tile={tile}
            parameters={parameters}
            values={values}
          />
        ))}
      </div>
    </>
  );
}

const nameOf = ({ kind, dashboard }: Listed): string =>
  kind === 'shared' ? `${line(dashboard.name)} (shared)` : line(dashboard.name);

function Missing() {
  const instead = `Below is “${FIRST.dashboard.name}”.`;
  const [id, name] = [param('shared'), param('name')];
  return (
    <p class="trouble" role="status">
      {id
        ? `No shared dashboard has the id “${line(id)}”: it was removed, or the address is not whole. ${instead}`
        : `This browser holds no dashboard named “${line(name)}”, and none of that name is shared: have it shared, or its JSON sent, and import it. ${instead}`}
    </p>
  );
}

/** Taken over when the field is left, so that no query runs for half a word. */
function ParameterField({ name, first }: { name: string; first: string }) {
  const [text, setText] = useState(param(`p.${name}`) || first);
  const apply = () => setParams({ [`p.${name}`]: text === first ? null : text });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <Input label={name} value={text} onChange={setText} onBlur={apply} placeholder="any" />
    </form>
  );
}

function Tools({ shown, onDo }: { shown: Listed; onDo: (what: Doing) => void }) {
  const me = useLoad('me', readMe);
  const mayShare = me.value?.roles.includes('administrator') ?? false;
  const isShared = shown.kind === 'shared';
  const isOwn = shown.kind === 'own';
  const remove = () => {
    forget(shown.id);
    open(FIRST);
  };
  return (
    <>
      <Button onClick={() => onDo('read')}>{isShared ? 'Copy or export' : 'Edit or export'}</Button>
      <Button onClick={() => onDo('import')}>Import</Button>
      {isOwn && mayShare && <Button onClick={() => onDo('share')}>Share</Button>}
      {isOwn && (
        <Button look="danger" onClick={remove}>
          Delete
        </Button>
      )}
      {isShared && mayShare && (
        <>
          <Button onClick={() => onDo('change')}>Change</Button>
          <Button look="danger" onClick={() => onDo('remove')}>
            Remove
          </Button>
        </>
      )}
    </>
  );
}

interface DoingsProps {
  doing: Doing;
  shown: Listed;
  /** A shared one is new, other or gone. */
  onChanged: () => void;
  onClose: () => void;
}

/** The dialog of what somebody does. */
function Doings({ doing, shown: { kind, id, dashboard }, onChanged, onClose }: DoingsProps) {
  const done = (next: Listed | null) => {
    onClose();
    onChanged();
    if (next) open(next);
  };
  if (doing === 'share') {
    const shared = (id: string) => done({ kind: 'shared', id, dashboard });
    return <Share dashboard={dashboard} onClose={onClose} onDone={shared} />;
  }
  if (doing === 'change') return <Change id={id} onClose={onClose} onDone={() => done(null)} />;
  if (doing === 'remove') return <Remove id={id} onClose={onClose} onDone={() => done(FIRST)} />;
  // Under another name, so that it does not stand in for the one it was made of.
  const copy = kind === 'own' ? dashboard : { ...dashboard, name: `${dashboard.name}, own` };
  const keep = (kept: Dashboard) => {
    save(kept);
    onClose();
    open({ kind: 'own', id: kept.name, dashboard: kept });
  };
  return (
    <JsonDialog
      title="Dashboard as JSON"
      first={doing === 'read' ? toJson(copy) : ''}
      verb="Keep in this browser"
      reason="none"
      keep={keep}
      onClose={onClose}
    />
  );
}
