/** How the time of an interaction was spent. */
import type { Failure } from '../api/failure';
import { readTrail } from '../api/ledger';
import * as format from '../format';
import { useLoad } from '../load';
import { Empty, Failed } from '../ui/empty';
import { Facts, Loading, Panel } from '../ui/panel';
import { CoursePanel, told } from './course';
import type { Interaction } from './interaction';

interface Span {
  name: string;
  from: number;
  to: number;
  tone: string;
}

/** The spans that the row of the interaction tells of, in milliseconds from its start. */
function spans(interaction: Interaction): Span[] {
  const total = interaction.TotalTime ?? 0;
  const first = interaction.TimeToFirstByte;
  const overhead = interaction.GatewayOverhead ?? 0;
  const found: Span[] = [{ name: 'Whole interaction', from: 0, to: total, tone: 'series-7' }];
  if (overhead > 0) {
    found.push({ name: 'Gateway, the disk included', from: 0, to: overhead, tone: 'series-2' });
  }
  const token = interaction.TimeToFirstToken;
  if (first !== null) {
    found.push({ name: 'Until the first byte', from: 0, to: first, tone: 'series-1' });
    if (token !== null) {
      found.push({ name: 'Until the first token', from: 0, to: token, tone: 'series-4' });
    }
    found.push({ name: 'Answer', from: first, to: total, tone: 'series-3' });
  }
  return found;
}

export function Timeline({ interaction }: { interaction: Interaction }) {
  const { CorrelationId: id, LedgerSequence: last } = interaction;
  const trail = useLoad(id, (signal) => readTrail(id, last, signal));
  const course = trail.value && told(trail.value, interaction.TotalTime ?? 0);
  const total = Math.max(interaction.TotalTime ?? 0, 1);
  const streaming = (interaction.TotalTime ?? 0) - (interaction.TimeToFirstByte ?? 0);
  const chunks = interaction.Chunks ?? 0;
  const tokens = interaction.CompletionTokens ?? 0;
  const rate = streaming > 0 && tokens > 0 ? (1000 * tokens) / streaming : null;
  return (
    <div class="stack">
      <Panel
        title="Time"
        note={`${format.timeInZone(interaction.TimeGenerated)}, ${format.duration(interaction.TotalTime)}`}
      >
        <ol class="spans">
          {spans(interaction).map((span) => (
            <li key={span.name}>
              <span>{span.name}</span>
              <span class="number">{format.duration(span.to - span.from)}</span>
              <span class="span-track" aria-hidden="true">
                <span
                  class="span-bar"
                  style={{
                    left: `${Math.min(99.6, (100 * span.from) / total)}%`,
                    width: `${Math.max(0.4, (100 * (span.to - span.from)) / total)}%`,
                    background: `var(--${span.tone})`,
                  }}
                />
              </span>
            </li>
          ))}
        </ol>
      </Panel>
      {course && course.moments.length > 0 && (
        // A WebSocket session: each message says itself when it passed.
        <CoursePanel told={course} isSession={interaction.ResponseCode === 101} />
      )}
      {trail.isLoading && <Loading />}
      {trail.failure && <NoPieces failure={trail.failure} again={trail.again} />}
      <Panel title="Answer">
        <Facts
          facts={[
            ['First byte', format.duration(interaction.TimeToFirstByte)],
            ['First token', format.duration(interaction.TimeToFirstToken)],
            ['Pieces', format.number(chunks)],
            ['Longest gap between pieces', format.duration(interaction.ChunkGapMax)],
            ['Output tokens a second', rate === null ? '–' : format.number(rate)],
            ['Stream ended', interaction.StreamOutcome || 'was none'],
            ['Backend', format.duration(interaction.BackendTime)],
            ['Client and gateway', format.duration(interaction.ClientTime)],
            ['Gateway overhead', format.duration(interaction.GatewayOverhead)],
          ]}
        />
      </Panel>
    </div>
  );
}

/** The ledger keeps single pieces for a shorter time than the tables keep their sums. */
function NoPieces({ failure, again }: { failure: Failure; again: () => void }) {
  return (
    <Panel title="Pieces of the answer">
      {failure.kind === 'expired' ? (
        <Empty
          kind="expired"
          text="The ledger no longer keeps the single pieces of this request. Their number and the longest gap stand below."
        />
      ) : (
        <Failed failure={failure} again={again} />
      )}
    </Panel>
  );
}
