/** When the pieces of an answer came: on a line with its gaps, in words, and as a table. */
import type { Trail } from '../api/ledger';
import * as format from '../format';
import { Panel } from '../ui/panel';
import { Table } from '../ui/table';

interface Moment {
  /** Milliseconds since the request came. */
  at: number;
  pieces: number;
  bytes: number;
}

interface Gap {
  from: number;
  to: number;
}

/** What a course tells, in milliseconds since the request came. */
export interface Told {
  moments: Moment[];
  gaps: Gap[];
  firstOutput: number | null;
  /** Milliseconds within which pieces are told as one. */
  grain: number;
  end: number;
}

export function told({ course, steps }: Trail, total: number): Told {
  const opened = steps[0]?.facts.received_at;
  const start = typeof opened === 'number' ? opened : (course.moments[0]?.at_us ?? 0);
  const since = (micros: number): number => Math.max(0, (micros - start) / 1000);
  const moments = course.moments.map(({ at_us, ...rest }) => ({ at: since(at_us), ...rest }));
  return {
    moments,
    gaps: course.gaps.map((gap) => ({ from: since(gap.from_us), to: since(gap.to_us) })),
    firstOutput: course.first_output_at_us === null ? null : since(course.first_output_at_us),
    grain: course.grain_us / 1000,
    end: Math.max(total, moments[moments.length - 1]?.at ?? 0, 1),
  };
}

/** Shorter ones are how the ledger writes, not how the model answers. */
const GAP_MIN = 10;

const WRITTEN =
  'Times are those at which the ledger wrote a piece: a few milliseconds after it came, and what came within 5 ms is written together.';

export function CoursePanel({ told, isSession }: { told: Told; isSession: boolean }) {
  const { moments, gaps, grain } = told;
  const pieces = moments.reduce((sum, moment) => sum + moment.pieces, 0);
  const long = gaps.filter((gap) => gap.to - gap.from >= GAP_MIN);
  return (
    <Panel title="Pieces of the answer" note={inWords(told, pieces, long[0])}>
      <Line told={told} longest={long[0]} />
      {long.length > 0 && (
        <Table<Gap>
          label="Longest gaps"
          rows={long}
          keyOf={(gap) => String(gap.from)}
          columns={[
            {
              name: 'Longest gaps',
              isNumber: true,
              show: ({ from, to }) => format.duration(round(to - from)),
            },
            { name: 'From', isNumber: true, show: ({ from }) => format.duration(round(from)) },
            { name: 'To', isNumber: true, show: ({ to }) => format.duration(round(to)) },
          ]}
        />
      )}
      <details class="panel-body">
        <summary>Every moment in which pieces came</summary>
        <Table<Moment>
          label="Moments"
          rows={moments}
          keyOf={(_, at) => String(at)}
          columns={[
            { name: 'After', isNumber: true, show: ({ at }) => format.duration(round(at)) },
            { name: 'Pieces', isNumber: true, show: (moment) => format.number(moment.pieces) },
            { name: 'Bytes', isNumber: true, show: ({ bytes }) => format.bytes(bytes) },
          ]}
        />
      </details>
      <p class="panel-body muted">
        {isSession ? 'Times are those at which a message passed.' : WRITTEN}
        {grain > 0 && ` Pieces within ${format.duration(grain)} are shown as one.`}
      </p>
    </Panel>
  );
}

const round = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;

function inWords({ moments, firstOutput }: Told, pieces: number, longest?: Gap): string {
  const [first, last] = [moments[0]?.at ?? 0, moments[moments.length - 1]?.at ?? 0];
  const parts = [
    `${format.counted(pieces, 'piece')} from ${format.duration(round(first))} to ${format.duration(round(last))}`,
  ];
  if (firstOutput !== null) parts.push(`first token after ${format.duration(round(firstOutput))}`);
  if (longest) parts.push(`longest gap ${format.duration(round(longest.to - longest.from))}`);
  return parts.join(', ');
}

/** The line itself is for the eye; what it shows stands in the words and tables beside it. */
function Line({ told, longest }: { told: Told; longest: Gap | undefined }) {
  const { moments, firstOutput, end } = told;
  const place = (at: number): string => `${(100 * at) / end}%`;
  const most = Math.max(...moments.map(({ bytes }) => bytes));
  return (
    <div class="course" aria-hidden="true">
      <div class="course-track">
        {longest && (
          <span
            class="course-gap"
            style={{ left: place(longest.from), width: place(longest.to - longest.from) }}
          />
        )}
        {moments.map(({ at, bytes }) => (
          <span
            key={at}
            class="course-moment"
            style={{ left: place(at), height: `${35 + (65 * bytes) / most}%` }}
          />
        ))}
        {firstOutput !== null && (
          <span class="course-first" style={{ left: place(firstOutput) }} title="first token" />
        )}
      </div>
      <div class="course-scale">
        {[0, 0.25, 0.5, 0.75, 1].map((part) => (
          <span key={part}>{format.duration(round(part * end))}</span>
        ))}
      </div>
      <ul class="course-key">
        <li>
          <span class="course-mark course-mark-moment" /> pieces, the taller the more bytes
        </li>
        {firstOutput !== null && (
          <li>
            <span class="course-mark course-mark-first" /> first token
          </li>
        )}
        {longest && (
          <li>
            <span class="course-mark course-mark-gap" /> longest gap
          </li>
        )}
      </ul>
    </div>
  );
}
