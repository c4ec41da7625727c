/** The alert rules, how they stand and whose they are; a test tells the sinks of one. Administrators change them. */
import { useState } from 'preact/hooks';
import { readMe } from '../api/admin';
import {
  type AlertRule,
  type AlertTest,
  type RuleConfig,
  readRules,
  testRule,
} from '../api/alerts';
import { asFailure } from '../api/failure';
import * as format from '../format';
import { useLoad } from '../load';
import { address } from '../location';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table, type TableColumn } from '../ui/table';
import { EditRule } from './edit-rule';
import { ORIGINS } from './origin';
import { RemoveRule } from './remove-rule';
import { Severity } from './severity';
import { Told } from './told';

interface Tested {
  name: string;
  result: AlertTest | null;
  trouble: string;
}

/** What is being done to which rule; `rule` is null for a new one. */
type Doing = { what: 'edit'; rule: AlertRule | null } | { what: 'remove'; rule: AlertRule };

export function Rules() {
  const found = useLoad('rules', readRules);
  const me = useLoad('me', readMe);
  const [tested, setTested] = useState<Tested | null>(null);
  const [doing, setDoing] = useState<Doing | null>(null);
  const mayChange = me.value?.roles.includes('administrator') ?? false;
  const close = () => setDoing(null);
  const done = () => {
    close();
    found.again();
  };
  const test = async (rule: RuleConfig) => {
    const [id, name] = [rule.id, title(rule)];
    try {
      setTested({ name, result: await testRule(id), trouble: '' });
    } catch (error) {
      setTested({ name, result: null, trouble: asFailure(error).message });
    }
  };
  return (
    <Panel
      title="Rules"
      note="the same on every gateway, but for those of the configuration file"
      actions={
        mayChange && (
          <Button disabled={!found.value} onClick={() => setDoing({ what: 'edit', rule: null })}>
            New rule
          </Button>
        )
      }
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value && (
        <Table<AlertRule>
          label="Rules"
          rows={found.value.rules}
          keyOf={({ rule }) => rule.id}
          columns={[
            ...COLUMNS,
            { name: 'Tells', show: (row) => line(toldText(row, found.value?.sinks ?? [])) },
            {
              name: 'Actions',
              show: (row) => (
                <span class="row-actions">
                  <Button
                    aria-label={`Test ${line(title(row.rule))}`}
                    onClick={() => test(row.rule)}
                  >
                    Test
                  </Button>
                  {mayChange && <Changing row={row} onDo={setDoing} />}
                </span>
              ),
            },
          ]}
        />
      )}
      {doing?.what === 'edit' && found.value && (
        <EditRule found={doing.rule} known={found.value} onClose={close} onDone={done} />
      )}
      {doing?.what === 'remove' && <RemoveRule found={doing.rule} onClose={close} onDone={done} />}
      {tested && (
        <Told
          title={`Test of “${line(tested.name)}”`}
          trouble={tested.trouble}
          note={
            tested.result && Object.keys(tested.result.sinks).length === 0
              ? 'The rule was looked at. It has no sink that could be told.'
              : ''
          }
          places={tested.result?.sinks ?? {}}
          onClose={() => setTested(null)}
        />
      )}
    </Panel>
  );
}

const COLUMNS: readonly TableColumn<AlertRule>[] = [
  { name: 'State', show: (row) => <Badge {...standing(row)} /> },
  { name: 'Severity', show: ({ rule }) => <Severity level={rule.severity} /> },
  { name: 'Rule', show: (row) => <Named {...row} /> },
  { name: 'On', show: ({ rule }) => <On rule={rule} /> },
  { name: 'Threshold', isNumber: true, show: ({ rule }) => format.number(rule.threshold) },
  { name: 'Looks', show: ({ rule }) => lookText(rule) },
];

interface ChangingProps {
  row: AlertRule;
  onDo: (doing: Doing) => void;
}

const Changing = ({ row, onDo }: ChangingProps) => (
  <>
    <Button
      aria-label={`Change ${line(title(row.rule))}`}
      onClick={() => onDo({ what: 'edit', rule: row })}
    >
      Change
    </Button>
    {row.origin === 'state' && (
      <Button
        aria-label={`Remove ${line(title(row.rule))}`}
        onClick={() => onDo({ what: 'remove', rule: row })}
      >
        Remove
      </Button>
    )}
  </>
);

/** Its name, and whose it is. */
const Named = ({ rule, origin }: AlertRule) => (
  <>
    <div>{line(title(rule))}</div>
    <div class="muted">{ORIGINS[origin]}</div>
  </>
);

const title = ({ id, name }: RuleConfig): string => name || id;

/** The sinks that it goes to; which of those it names are not here is said. */
function toldText({ rule, missing_sinks }: AlertRule, all: readonly string[]): string {
  if (rule.sinks.length === 0) return all.length > 0 ? 'every sink' : 'nobody';
  const text = (sink: string) =>
    missing_sinks.includes(sink) ? `${sink} (not on this gateway)` : sink;
  return rule.sinks.map(text).join(', ');
}

function standing({ rule, firing, failure }: AlertRule): { tone: Tone; text: string } {
  if (!rule.enabled) return { tone: 'quiet', text: 'off' };
  if (failure) return { tone: 'warn', text: 'cannot be looked at' };
  return firing.length > 0 ? { tone: 'bad', text: 'firing' } : { tone: 'good', text: 'quiet' };
}

const On = ({ rule }: { rule: RuleConfig }) =>
  rule.query ? (
    <a href={address('/logs', { q: rule.query })}>its query</a>
  ) : (
    <code>
      {/* Long names break between their words. */}
      {line(rule.metric)
        .split(/(?<=_)/)
        .map((word) => (
          <>
            {word}
            <wbr />
          </>
        ))}
    </code>
  );

const lookText = ({ frequency_s, window_s }: RuleConfig): string =>
  `every ${format.duration(frequency_s * 1000)}, over ${format.duration(window_s * 1000)}`;
