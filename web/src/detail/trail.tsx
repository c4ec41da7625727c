/** What the ledger itself says of an interaction: steps, and whether its bodies are unchanged. */
import { readTrail, type Step, type Trail } from '../api/ledger';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge } from '../ui/badge';
import { Failed } from '../ui/empty';
import { Facts, Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { type Interaction, readContent } from './interaction';
import { Reveal } from './reveal';

export function Integrity({ interaction }: { interaction: Interaction }) {
  const { CorrelationId: id, LedgerSequence: last } = interaction;
  const found = useLoad(id, (signal) => readTrail(id, last, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  return (
    <div class="stack">
      <Proof trail={found.value} />
      <Steps trail={found.value} />
      {!interaction.IsContentErased && (
        <Reveal id={id}>
          {(purpose) => <Bodies id={id} purpose={purpose} trail={found.value} />}
        </Reveal>
      )}
    </div>
  );
}

function Proof({ trail }: { trail: Trail }) {
  return (
    <Panel title="Record" note="frames in the hash-chained ledger">
      <Facts
        facts={[
          ['Frames', format.number(trail.frames)],
          ['Sequence', `${trail.first_sequence} to ${trail.last_sequence}`],
          [
            'Start and end',
            trail.is_whole ? (
              <Badge tone="good" text="both are there" />
            ) : (
              <Badge tone="warn" text="the start lies too far back" />
            ),
          ],
          ['Pieces of the answer', format.number(trail.response.pieces)],
        ]}
      />
      <p class="panel-body muted">
        The chain over all frames is proved under <a href="/audit">Audit</a>, or offline with{' '}
        <code>gatehouse audit verify</code>.
      </p>
    </Panel>
  );
}

/** The recorded bytes against what the table says of them. */
function Bodies({ id, purpose, trail }: { id: string; purpose: string; trail: Trail | null }) {
  const found = useLoad(id, (signal) => readContent(id, purpose, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value || !trail) return <Loading />;
  const { RequestBodySha256: request, ResponseBodySha256: response } = found.value;
  return (
    <Panel title="Bodies" note="SHA-256 of the recorded bytes against the table's">
      <Facts
        facts={[
          [
            'Request body',
            <Same key="request" is={trail.request.sha256 === request} has={request !== ''} />,
          ],
          [
            'Answer body',
            <Same
              key="response"
              is={trail.response.sha256 === response}
              has={trail.response.bytes > 0}
            />,
          ],
        ]}
      />
    </Panel>
  );
}

function Same({ is, has }: { is: boolean; has: boolean }) {
  if (!has) return <Badge tone="quiet" text="none to compare" />;
  return is ? (
    <Badge tone="good" text="unchanged" />
  ) : (
    <Badge tone="bad" text="differs from the table" />
  );
}

/** Steps in which limits counted something. */
const isCharge = (step: Step): boolean => step.kind === 'charges';
const TIMES = ['received_at', 'sent_at', 'answered_at', 'charged_at', 'noted_at', 'closed_at'];

const timeOf = ({ facts }: Step): unknown =>
  TIMES.map((name) => facts[name]).find((value) => value !== undefined);

const instantOf = (step: Step): string => {
  const at = timeOf(step);
  // The ledger counts microseconds since 1970.
  return format.time(typeof at === 'number' ? new Date(at / 1000) : at);
};

function factsOf({ facts }: Step): string {
  return Object.entries(facts)
    .filter(([name, value]) => !TIMES.includes(name) && value !== '' && value !== null)
    .map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}

const NAMES: Record<string, string> = {
  opened: 'recorded, admitted',
  dispatched: 'sent to a backend',
  answered: 'answer began',
  objects: 'objects made or gone',
  charges: 'limits counted',
  closed: 'ended',
  refused: 'refused',
};

function Steps({ trail }: { trail: Trail }) {
  return (
    <Panel title="Steps" note={trail.is_cut ? 'the first thousand' : undefined}>
      <Table<Step>
        label="Steps"
        rows={trail.steps}
        keyOf={(step) => String(step.sequence)}
        columns={[
          { name: 'Sequence', isNumber: true, show: (step) => step.sequence },
          {
            name: `Time (${format.zoneName()})`,
            show: (step) => <span class="mono nowrap">{instantOf(step)}</span>,
          },
          {
            name: 'Step',
            show: (step) => (
              <Badge
                tone={isCharge(step) ? 'info' : 'quiet'}
                text={NAMES[step.kind] ?? step.kind}
              />
            ),
          },
          { name: 'Facts', show: (step) => <span class="mono">{line(factsOf(step))}</span> },
        ]}
      />
    </Panel>
  );
}
