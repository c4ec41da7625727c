/** When the certificate of each listener ends. */
import { type Certificate, readCertificates } from '../api/admin';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Empty, Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';

const DAY_MS = 86_400_000;
/** As the alert rule `certificate-expiry` has it. */
const SOON_MS = 14 * DAY_MS;

const left = ({ ends_at_s }: Certificate): number | null =>
  ends_at_s === null ? null : ends_at_s * 1000 - Date.now();

function standing(certificate: Certificate): { tone: Tone; text: string } {
  const milliseconds = left(certificate);
  if (milliseconds === null) return { tone: 'bad', text: 'none yet' };
  if (milliseconds <= 0) return { tone: 'bad', text: 'ended' };
  return milliseconds < SOON_MS
    ? { tone: 'warn', text: 'ends soon' }
    : { tone: 'good', text: 'good' };
}

function days(certificate: Certificate): string {
  const milliseconds = left(certificate);
  return milliseconds === null ? '' : format.counted(Math.floor(milliseconds / DAY_MS), 'day');
}

export function Certificates() {
  const found = useLoad('certificates', readCertificates);
  return (
    <Panel title="Certificates of listeners" note="the alert certificate-expiry watches them">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <Empty
          kind="no-traffic"
          text="No listener speaks TLS: give one a certificate under edge.listeners[].tls, or put a proxy with TLS before it."
        />
      )}
      {found.value && found.value.length > 0 && (
        <Table<Certificate>
          label="Certificates"
          rows={found.value}
          keyOf={({ listener }) => listener}
          columns={[
            {
              name: 'Listener',
              show: ({ listener }) => <span class="mono">{line(listener)}</span>,
            },
            { name: 'State', show: (row) => <Badge {...standing(row)} /> },
            {
              name: `Ends (${format.zoneName()})`,
              show: ({ ends_at_s }) =>
                ends_at_s === null ? '–' : format.second(new Date(ends_at_s * 1000)),
            },
            { name: 'Left', isNumber: true, show: days },
          ]}
        />
      )}
      <p class="panel-body muted">
        A certificate from files is taken over by a reload once the files are new. One that is
        ordered by ACME is renewed when two thirds of its life are over; why an order failed stands
        in <code>/readyz?verbose</code>.
      </p>
    </Panel>
  );
}
