/** How the time of an interaction was spent. */
import * as format from '../format';
import { Facts, Panel } from '../ui/panel';
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
  if (first !== null) {
    found.push({ name: 'Until the first byte', from: 0, to: first, tone: 'series-1' });
    found.push({ name: 'Answer', from: first, to: total, tone: 'series-3' });
  }
  return found;
}

export function Timeline({ interaction }: { interaction: Interaction }) {
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
      <Panel title="Answer">
        <Facts
          facts={[
            ['First byte', format.duration(interaction.TimeToFirstByte)],
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
