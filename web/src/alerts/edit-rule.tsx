/** An alert rule of the desired state, made or changed. One that is built in or of the file is replaced. */
import { useState } from 'preact/hooks';
import { type AlertList, type AlertRule, putRule, type RuleConfig, readRule } from '../api/alerts';
import type { Tagged } from '../api/http';
import { line } from '../text';
import { Current } from '../ui/current';
import { Input, Select, TextArea } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';
import { Pairs } from '../ui/pairs';
import { type Draft, draftOf, NEW, NUMBERS, type NumberName, ruleOf } from './draft';
import { INSTEAD } from './origin';
import { SEVERITIES } from './severity';

const AGGREGATIONS = ['Count', 'Total', 'Average', 'Minimum', 'Maximum'];
const OPERATORS: readonly [string, string][] = [
  ['GreaterThan', 'above'],
  ['GreaterThanOrEqual', 'at least'],
  ['LessThan', 'below'],
  ['LessThanOrEqual', 'at most'],
  ['Equal', 'exactly'],
];

interface Props {
  /** The one that is changed; null for a new one. */
  found: AlertRule | null;
  known: AlertList;
  onClose: () => void;
  onDone: () => void;
}

export function EditRule({ found, ...rest }: Props) {
  if (!found) return <Form title="New alert rule" first={{ value: NEW, etag: null }} {...rest} />;
  const title = `Alert rule ${found.rule.id}`;
  if (found.origin !== 'state') {
    const first = { value: found.rule, etag: null };
    return <Form title={title} first={first} replaced={INSTEAD[found.origin]} {...rest} />;
  }
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readRule(found.rule.id, signal)}
      onClose={rest.onClose}
    >
      {(first: Tagged<RuleConfig>) => <Form title={title} first={first} {...rest} />}
    </Current>
  );
}

interface FormProps extends Omit<Props, 'found'> {
  title: string;
  /** There is no tag where the desired state has none yet. */
  first: { value: RuleConfig; etag: string | null };
  /** What it replaces; nothing if it is new, or of the desired state already. */
  replaced?: string;
}

function Form({ title, first: { value, etag }, replaced, known, onClose, onDone }: FormProps) {
  const [draft, setDraft] = useState(() => draftOf(value));
  const { rule } = draft;
  const set = (part: Partial<RuleConfig>) => setDraft({ ...draft, rule: { ...rule, ...part } });
  const save = async (reason: string) => {
    await putRule(ruleOf(draft), etag, reason);
    onDone();
  };
  return (
    <FormDialog
      title={line(title)}
      verb="Save"
      isReady={rule.id.trim() !== ''}
      onSubmit={save}
      onClose={onClose}
    >
      {replaced && (
        <p>
          This makes a rule of the desired state with the same id, which takes the place of{' '}
          {replaced} on every gateway. Removing it brings that one back.
        </p>
      )}
      {!value.id && (
        <Input
          label="Id"
          value={rule.id}
          onChange={(id) => set({ id })}
          required
          maxLength={128}
          hint="Letters, digits, “-”, “_” and “.”. One that is there already is replaced if it is built in or of the file."
        />
      )}
      <Input label="Name" value={rule.name} onChange={(name) => set({ name })} maxLength={200} />
      <Input
        label="Description"
        value={rule.description}
        onChange={(description) => set({ description })}
        maxLength={2000}
        hint="What it means, and what to do."
      />
      <Looked draft={draft} gauges={known.gauges} set={set} setDraft={setDraft} />
      <Threshold draft={draft} set={set} setDraft={setDraft} />
      <Told rule={rule} sinks={known.sinks} set={set} />
      <Pairs
        legend="Custom properties, told to webhooks"
        one="Property"
        pairs={draft.properties}
        onChange={(properties) => setDraft({ ...draft, properties })}
      />
    </FormDialog>
  );
}

interface PartProps {
  draft: Draft;
  set: (part: Partial<RuleConfig>) => void;
  setDraft: (draft: Draft) => void;
}

/** What it looks at. */
function Looked({ draft, gauges, set, setDraft }: PartProps & { gauges: readonly string[] }) {
  const { rule, isGauge } = draft;
  const chooseKind = (kind: string) => {
    const metric = rule.metric || (gauges[0] ?? '');
    setDraft({ ...draft, isGauge: kind === 'gauge', rule: { ...rule, metric } });
  };
  return (
    <>
      <Select
        label="Looks at"
        value={isGauge ? 'gauge' : 'query'}
        options={[
          ['query', 'the rows that a KQL query finds'],
          ['gauge', 'a gauge of /metrics, as it stands'],
        ]}
        onChange={chooseKind}
      />
      {isGauge ? (
        <>
          <Select
            label="Gauge"
            value={rule.metric}
            options={gauges.includes(rule.metric) ? gauges : [rule.metric, ...gauges]}
            onChange={(metric) => set({ metric })}
          />
          <Pairs
            legend="Only series with these labels; none: all"
            one="Label"
            pairs={draft.labels}
            onChange={(labels) => setDraft({ ...draft, labels })}
          />
        </>
      ) : (
        <TextArea
          label="KQL query"
          value={rule.query}
          onChange={(query) => set({ query })}
          rows={5}
          hint="Its rows of the window are aggregated. It sees everybody's rows, without prompts and answers."
        />
      )}
      <fieldset>
        <legend>How it becomes a value</legend>
        <Select
          label="Aggregation"
          value={rule.aggregation}
          options={AGGREGATIONS}
          onChange={(aggregation) => set({ aggregation })}
        />
        {!isGauge && (
          <Input
            label="Measure column"
            value={rule.measure_column}
            onChange={(measure_column) => set({ measure_column })}
            placeholder="empty: rows are counted"
            maxLength={128}
          />
        )}
        <Input
          label={isGauge ? 'A value for each of these labels' : 'A value for each of these columns'}
          value={draft.dimensions}
          onChange={(dimensions) => setDraft({ ...draft, dimensions })}
          placeholder="none"
          hint="Six at most, commas between."
        />
      </fieldset>
    </>
  );
}

/** When it fires. */
function Threshold({ draft, set, setDraft }: PartProps) {
  const { rule, numbers } = draft;
  const number = (name: NumberName) => (
    <Input
      key={name}
      label={NUMBERS[name]}
      value={numbers[name]}
      onChange={(text) => setDraft({ ...draft, numbers: { ...numbers, [name]: text } })}
      required
      maxLength={30}
    />
  );
  return (
    <fieldset>
      <legend>When it fires</legend>
      <Select
        label="The value is"
        value={rule.operator}
        options={OPERATORS}
        onChange={(operator) => set({ operator })}
      />
      {(Object.keys(NUMBERS) as NumberName[]).map(number)}
    </fieldset>
  );
}

interface ToldProps {
  rule: RuleConfig;
  sinks: readonly string[];
  set: (part: Partial<RuleConfig>) => void;
}

/** Who is told, and how urgently. */
function Told({ rule, sinks, set }: ToldProps) {
  // One that is named and not here can be taken away.
  const shown = [...new Set([...sinks, ...rule.sinks])];
  const toggle = (sink: string) => {
    const isNamed = rule.sinks.includes(sink);
    set({ sinks: isNamed ? rule.sinks.filter((one) => one !== sink) : [...rule.sinks, sink] });
  };
  return (
    <>
      <Select
        label="Severity"
        value={String(rule.severity)}
        options={SEVERITIES.map((name, level) => [String(level), `${level} ${name}`])}
        onChange={(level) => set({ severity: Number(level) })}
      />
      <fieldset>
        <legend>Sinks it tells; none chosen: all</legend>
        {shown.length === 0 && <p class="hint">This gateway has none: see alerts.sinks.</p>}
        {shown.map((sink) => (
          <label key={sink} class="check">
            <input
              type="checkbox"
              checked={rule.sinks.includes(sink)}
              onChange={() => toggle(sink)}
            />
            {line(sink)}
            {!sinks.includes(sink) && ' (not on this gateway)'}
          </label>
        ))}
      </fieldset>
      <label class="check">
        <input
          type="checkbox"
          checked={rule.auto_resolve}
          onChange={() => set({ auto_resolve: !rule.auto_resolve })}
        />
        Fire once, and resolve by itself
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={rule.enabled}
          onChange={() => set({ enabled: !rule.enabled })}
        />
        Look at it
      </label>
    </>
  );
}
