/** How the gateway is set up: every value with who said so, and the versions of the desired state. */
import '../style/detail.css';
import { type Origin, readSettings, type Setting } from '../api/state';
import { useLoad } from '../load';
import { param, setParams } from '../location';
import { Certificates } from '../settings/certificates';
import { Versions } from '../settings/versions';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Empty, Failed } from '../ui/empty';
import { Input, Select } from '../ui/field';
import { Head, Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { Tabs } from '../ui/tabs';

const TABS = [
  { id: 'configuration', name: 'Configuration' },
  { id: 'versions', name: 'Versions of the desired state' },
  { id: 'certificates', name: 'Certificates' },
] as const;

export default function Settings() {
  return (
    <>
      <Head title="Settings" />
      <Tabs tabs={TABS} label="Settings">
        {(tab) => {
          if (tab === 'versions') return <Versions />;
          return tab === 'certificates' ? <Certificates /> : <Configuration />;
        }}
      </Tabs>
    </>
  );
}

const ORIGINS: readonly [string, string][] = [
  ['', 'anybody'],
  ['set', 'somebody: not the default'],
  ['file', 'the file'],
  ['environment', 'the environment'],
  ['database', 'the desired state'],
  ['default', 'nobody: the default'],
];
const TONES: Record<Origin, Tone> = {
  default: 'quiet',
  file: 'info',
  environment: 'warn',
  database: 'good',
};

function isWanted(setting: Setting, text: string, origin: string): boolean {
  const isOrigin =
    origin === '' ||
    setting.origin === origin ||
    (origin === 'set' && setting.origin !== 'default');
  return isOrigin && setting.path.includes(text.trim().toLowerCase());
}

function Configuration() {
  const found = useLoad('configuration', readSettings);
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const [text, origin] = [param('q'), param('set')];
  const all = found.value.settings.flatMap(spread);
  const rows = all.filter((setting) => isWanted(setting, text, origin));
  return (
    <div class="stack">
      <div class="filters">
        <div class="grow">
          <Input
            label="Setting"
            type="search"
            value={text}
            onChange={(q) => setParams({ q })}
            placeholder="part of its name"
          />
        </div>
        <Select
          label="Set by"
          value={origin}
          options={ORIGINS}
          onChange={(set) => setParams({ set })}
        />
      </div>
      <Panel title="In force" note={<span class="mono">{line(found.value.file)}</span>}>
        {rows.length === 0 ? (
          <Empty kind="no-traffic" text="No setting matches." />
        ) : (
          <Table<Setting>
            label="Settings"
            rows={rows}
            keyOf={(row) => row.path}
            columns={[
              { name: 'Setting', show: (row) => <span class="mono">{line(row.path)}</span> },
              {
                name: 'Value',
                show: (row) => <span class="mono wrap">{line(shown(row.value))}</span>,
              },
              {
                name: 'Set by',
                show: (row) => <Badge tone={TONES[row.origin]} text={row.variable ?? row.origin} />,
              },
              { name: 'A change', show: (row) => (row.needs_restart ? 'takes a restart' : '') },
            ]}
          />
        )}
      </Panel>
    </div>
  );
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** A list of objects value by value, each with its place, such as `backends[0].id`. */
function spread(setting: Setting): Setting[] {
  const { path, value } = setting;
  if (Array.isArray(value)) {
    if (!value.some(isObject)) return [setting];
    return value.flatMap((one, at) => spread({ ...setting, path: `${path}[${at}]`, value: one }));
  }
  if (!isObject(value) || Object.keys(value).length === 0) return [setting];
  return Object.entries(value).flatMap(([name, one]) =>
    spread({ ...setting, path: `${path}.${name}`, value: one }),
  );
}

const shown = (value: unknown): string => {
  if (value === null) return '–';
  return typeof value === 'string' ? value || '(empty)' : JSON.stringify(value);
};
