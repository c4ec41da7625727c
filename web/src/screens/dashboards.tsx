/** Tiles of KQL with parameters. */
import { useState } from 'preact/hooks';
import '../style/dashboards.css';
import {
  all,
  BUILT_IN,
  type Dashboard,
  forget,
  fromJson,
  literalOf,
  save,
  toJson,
} from '../dashboards/model';
import { TilePanel } from '../dashboards/tile';
import { param, setParams } from '../location';
import { line } from '../text';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Input, Select } from '../ui/field';
import { Head } from '../ui/panel';

export default function Dashboards() {
  const found = all();
  const shown = found.find(({ name }) => name === param('name')) ?? BUILT_IN;
  const values = Object.fromEntries(
    shown.parameters.map((one) => [one.name, literalOf(one, param(`p.${one.name}`) || one.first)]),
  );
  return (
    <>
      <Head title="Dashboards">
        <Tools shown={shown} />
      </Head>
      <div class="filters">
        <Select
          label="Dashboard"
          value={shown.name}
          options={found.map(({ name }) => name)}
          onChange={(name) => setParams({ name: name === BUILT_IN.name ? null : name })}
        />
        {shown.parameters.map(({ name, first }) => (
          <ParameterField key={`${shown.name} ${name}`} name={name} first={first} />
        ))}
      </div>
      {param('name') && shown.name !== param('name') && (
        <p class="trouble" role="status">
          This browser holds no dashboard named “{line(param('name'))}”: have its JSON sent, and
          import it. Below is “{shown.name}”.
        </p>
      )}
      <div class="tiles">
        {shown.tiles.map((tile, at) => (
          <TilePanel
            key={`${shown.name} ${at}`}
            tile={tile}
            parameters={shown.parameters}
            values={values}
          />
        ))}
      </div>
    </>
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

function Tools({ shown }: { shown: Dashboard }) {
  const [text, setText] = useState<string | null>(null);
  const isOwn = shown.name !== BUILT_IN.name;
  return (
    <>
      <Button
        onClick={() => setText(toJson(isOwn ? shown : { ...shown, name: `${shown.name}, own` }))}
      >
        Edit or export
      </Button>
      <Button onClick={() => setText('')}>Import</Button>
      {isOwn && (
        <Button
          look="danger"
          onClick={() => {
            forget(shown.name);
            setParams({ name: null });
          }}
        >
          Delete
        </Button>
      )}
      {text !== null && <Json first={text} onClose={() => setText(null)} />}
    </>
  );
}

function Json({ first, onClose }: { first: string; onClose: () => void }) {
  const [text, setText] = useState(first);
  const [trouble, setTrouble] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    try {
      const dashboard = fromJson(text);
      save(dashboard);
      setParams({ name: dashboard.name });
      onClose();
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Dialog title="Dashboard as JSON" onClose={onClose}>
      <form class="dialog-body" onSubmit={submit}>
        <div class="field">
          <label for="dashboard-json">Name, parameters, tiles. Copy it to hand it on.</label>
          <textarea
            id="dashboard-json"
            class="mono"
            rows={16}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={!text.trim()}>
            Keep in this browser
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
