/** The alert rules and how they stand; a test sends an alert to the sinks of one. */
import { useState } from 'preact/hooks';
import { type AlertRule, type AlertTest, readRules, testRule } from '../api/alerts';
import { asFailure } from '../api/failure';
import * as format from '../format';
import { useLoad } from '../load';
import { address } from '../location';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { Severity } from './severity';
import { Told } from './told';

interface Tested {
  name: string;
  result: AlertTest | null;
  trouble: string;
}

export function Rules() {
  const found = useLoad('rules', readRules);
  const [tested, setTested] = useState<Tested | null>(null);
  const test = async ({ id, name }: AlertRule['rule']) => {
    try {
      setTested({ name, result: await testRule(id), trouble: '' });
    } catch (error) {
      setTested({ name, result: null, trouble: asFailure(error).message });
    }
  };
  return (
    <Panel title="Rules" note="set in the configuration, or shipped">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value && (
        <Table<AlertRule>
          label="Rules"
          rows={found.value}
          keyOf={({ rule }) => rule.id}
          columns={[
            { name: 'State', show: (row) => <Badge {...standing(row)} /> },
            { name: 'Severity', show: ({ rule }) => <Severity level={rule.severity} /> },
            { name: 'Rule', show: ({ rule }) => line(rule.name) },
            { name: 'On', show: ({ rule }) => <On rule={rule} /> },
            {
              name: 'Threshold',
              isNumber: true,
              show: ({ rule }) => format.number(rule.threshold),
            },
            { name: 'Looks', show: ({ rule }) => lookText(rule) },
            { name: 'Tells', show: ({ rule }) => line(rule.sinks.join(', ')) || 'nobody' },
            {
              name: 'Test',
              show: ({ rule }) => (
                <Button aria-label={`Test ${rule.name}`} onClick={() => test(rule)}>
                  Test
                </Button>
              ),
            },
          ]}
        />
      )}
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

function standing({ rule, firing, failure }: AlertRule): { tone: Tone; text: string } {
  if (!rule.enabled) return { tone: 'quiet', text: 'off' };
  if (failure) return { tone: 'warn', text: 'cannot be looked at' };
  return firing.length > 0 ? { tone: 'bad', text: 'firing' } : { tone: 'good', text: 'quiet' };
}

const On = ({ rule }: { rule: AlertRule['rule'] }) =>
  rule.query ? (
    <a href={address('/logs', { q: rule.query })}>its query</a>
  ) : (
    <code>{line(rule.metric)}</code>
  );

const lookText = ({ frequency_s, window_s }: AlertRule['rule']): string =>
  `every ${format.duration(frequency_s * 1000)}, over the last ${format.duration(window_s * 1000)}`;
