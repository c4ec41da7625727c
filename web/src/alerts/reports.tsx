/** The scheduled reports and how they stand; the button makes one now. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import { type Report, type ReportRun, readReports, runReport } from '../api/reports';
import * as format from '../format';
import { useLoad } from '../load';
import { address } from '../location';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';
import { Told } from './told';

interface Made {
  name: string;
  result: ReportRun | null;
  trouble: string;
}

export function Reports() {
  const found = useLoad('reports', readReports);
  const [made, setMade] = useState<Made | null>(null);
  const [running, setRunning] = useState('');
  const run = async (report: Report['report']) => {
    const name = title(report);
    setRunning(report.id);
    try {
      setMade({ name, result: await runReport(report.id), trouble: '' });
    } catch (error) {
      setMade({ name, result: null, trouble: asFailure(error).message });
    }
    setRunning('');
  };
  return (
    <Panel title="Scheduled reports" note="set in the configuration">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <p class="panel-body muted">
          There is none. Add one under <code>reports</code> in the configuration.
        </p>
      )}
      {found.value && found.value.length > 0 && (
        <Table<Report>
          label="Scheduled reports"
          rows={found.value}
          keyOf={({ report }) => report.id}
          columns={[
            { name: 'State', show: (row) => <Badge {...standing(row)} /> },
            { name: 'Report', show: ({ report }) => line(title(report)) },
            {
              name: 'Asks',
              show: ({ report }) => <a href={address('/logs', { q: report.query })}>its query</a>,
            },
            { name: 'Every', show: ({ report }) => line(everyText(report)) },
            { name: 'Goes to', show: ({ report }) => line(placesText(report)) },
            { name: 'Next', show: (row) => (row.next_at ? format.timeInZone(row.next_at) : '') },
            { name: 'Last', show: (row) => line(lastText(row)) },
            {
              name: 'Now',
              show: ({ report }) => (
                <Button
                  aria-label={`Run ${title(report)} now`}
                  disabled={running !== ''}
                  onClick={() => run(report)}
                >
                  Run
                </Button>
              ),
            },
          ]}
        />
      )}
      {made && (
        <Told
          title={`“${line(made.name)}”`}
          trouble={made.trouble}
          note={
            made.result
              ? `${made.result.period}: ${format.counted(made.result.rows, 'row')}, ${format.bytes(made.result.bytes)}`
              : ''
          }
          places={made.result?.places ?? {}}
          onClose={() => setMade(null)}
        />
      )}
    </Panel>
  );
}

const title = ({ id, name }: Report['report']): string => name || id;

function standing({ report, failure, last }: Report): { tone: Tone; text: string } {
  if (!report.enabled) return { tone: 'quiet', text: 'off' };
  if (failure) return { tone: 'bad', text: 'tried again' };
  if (last?.failure) return { tone: 'bad', text: 'given up' };
  return last ? { tone: 'good', text: 'arrived' } : { tone: 'quiet', text: 'not yet' };
}

const everyText = ({ every, hour, time_zone }: Report['report']): string =>
  `${every}, at ${String(hour).padStart(2, '0')}:00 ${time_zone}`;

const placesText = ({ to, folder }: Report['report']): string =>
  [...to, folder].filter((place) => place).join(', ');

const lastText = ({ failure, last }: Report): string =>
  failure || (last ? [last.period, last.failure].filter((text) => text).join(': ') : '');
