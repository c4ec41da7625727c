/** Who may call, who may look, and who did. */
import { useState } from 'preact/hooks';
import { Create } from '../access/create';
import { Keys } from '../access/keys';
import { Products } from '../access/products';
import { Rotate } from '../access/rotate';
import {
  type Keyed,
  type RoleHolders,
  readRoles,
  readSubscriptions,
  type Subscription,
  type SubscriptionStep,
  stepSubscription,
} from '../api/access';
import { asFailure } from '../api/failure';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { Head, Loading, Panel } from '../ui/panel';
import { QueryTable } from '../ui/query-table';
import { Table } from '../ui/table';
import { Tabs } from '../ui/tabs';

const TABS = [
  { id: 'subscriptions', name: 'Subscriptions' },
  { id: 'products', name: 'Products' },
  { id: 'roles', name: 'Roles' },
  { id: 'content', name: 'Who can see content' },
] as const;

export default function Access() {
  return (
    <>
      <Head title="Access" />
      <Tabs tabs={TABS} label="Access">
        {(tab) => {
          if (tab === 'products') return <Products />;
          if (tab === 'roles') return <Roles />;
          if (tab === 'content') return <ContentReport />;
          return <Subscriptions />;
        }}
      </Tabs>
    </>
  );
}

const STATE_TONES: Record<string, Tone> = {
  active: 'good',
  submitted: 'info',
  suspended: 'warn',
  expired: 'warn',
};

/** What a person may do next, by state. */
const STEPS: Record<string, [SubscriptionStep, string][]> = {
  active: [['suspend', 'Suspend']],
  suspended: [['activate', 'Activate']],
  submitted: [
    ['approve', 'Approve'],
    ['reject', 'Reject'],
  ],
};

function Subscriptions() {
  const found = useLoad('subscriptions', readSubscriptions);
  const [isCreating, setCreating] = useState(false);
  const [rotating, setRotating] = useState<Subscription | null>(null);
  const [keyed, setKeyed] = useState<Keyed | null>(null);
  const [trouble, setTrouble] = useState('');
  const show = (made: Keyed) => {
    setCreating(false);
    setRotating(null);
    setKeyed(made);
    found.again();
  };
  const step = async (id: string, verb: SubscriptionStep) => {
    setTrouble('');
    try {
      await stepSubscription(id, verb);
      found.again();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  return (
    <Panel
      title="Subscriptions"
      actions={
        <Button look="main" onClick={() => setCreating(true)}>
          New subscription
        </Button>
      }
    >
      {trouble && (
        <p class="trouble" role="alert">
          {trouble}
        </p>
      )}
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <Empty kind="no-traffic" text="There is no subscription yet." />
      )}
      {found.value && found.value.length > 0 && (
        <Table<Subscription>
          label="Subscriptions"
          rows={found.value}
          keyOf={(row) => row.id}
          columns={[
            { name: 'Id', show: (row) => line(row.id) },
            {
              name: 'State',
              show: (row) => <Badge tone={STATE_TONES[row.state] ?? 'quiet'} text={row.state} />,
            },
            { name: 'Product', show: (row) => line(row.product) || 'everything' },
            { name: 'Owner', show: (row) => line(row.owner) },
            {
              name: 'Expires',
              show: (row) => (row.expires_at ? format.timeInZone(row.expires_at) : 'never'),
            },
            {
              name: 'Actions',
              show: (row) => (
                <span class="row-actions">
                  <Button aria-label={`Rotate a key of ${row.id}`} onClick={() => setRotating(row)}>
                    Rotate
                  </Button>
                  {(STEPS[row.state] ?? []).map(([verb, name]) => (
                    <Button
                      key={verb}
                      aria-label={`${name} ${row.id}`}
                      onClick={() => step(row.id, verb)}
                    >
                      {name}
                    </Button>
                  ))}
                </span>
              ),
            },
          ]}
        />
      )}
      {isCreating && <Create onClose={() => setCreating(false)} onMade={show} />}
      {rotating && <Rotate id={rotating.id} onClose={() => setRotating(null)} onMade={show} />}
      {keyed && <Keys keyed={keyed} onClose={() => setKeyed(null)} />}
    </Panel>
  );
}

const listed = (names: string[] | undefined): string => line((names ?? []).join(', ')) || 'nobody';

function Roles() {
  const found = useLoad('roles', readRoles);
  return (
    <Panel title="Roles" note="besides the token of the data folder, which holds all">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <Empty kind="no-traffic" text="Nobody holds a role by group or name." />
      )}
      {found.value && found.value.length > 0 && (
        <Table<RoleHolders>
          label="Roles"
          rows={found.value}
          keyOf={(row) => row.role}
          columns={[
            { name: 'Role', show: (row) => row.role.replaceAll('_', ' ') },
            { name: 'Groups', show: (row) => listed(row.groups) },
            { name: 'People and programs', show: (row) => listed(row.users) },
          ]}
        />
      )}
    </Panel>
  );
}

interface Reader {
  PrincipalName: string;
  Reads: number;
  Interactions: number;
  LastAt: string;
  Purposes: string[] | null;
}

function ContentReport() {
  const found = useLoad('content roles', readRoles);
  const holders = (found.value ?? []).filter(({ role }) => role === 'content_reader');
  return (
    <div class="stack">
      <Panel title="May read prompts and answers">
        <div class="panel-body">
          <p>The token of the data folder, and whoever holds the role content reader:</p>
          {found.failure && <Failed failure={found.failure} again={found.again} />}
          {holders.map((holder) => (
            <p key={holder.role}>
              Groups: {listed(holder.groups)}. People and programs: {listed(holder.users)}.
            </p>
          ))}
          {found.value && holders.length === 0 && <p>Nobody.</p>}
        </div>
      </Panel>
      <QueryTable<Reader>
        title="Have read"
        note="last 90 days"
        csl={`ContentReads
| where TimeGenerated > ago(90d)
| summarize Reads = count(), Interactions = dcount(InteractionId), LastAt = max(TimeGenerated), Purposes = make_set(Purpose, 5) by PrincipalName
| sort by Reads desc`}
        none="Nobody has read prompts or answers in the last 90 days."
        columns={[
          { name: 'Who', show: (row) => line(row.PrincipalName) },
          { name: 'Reads', isNumber: true, show: (row) => format.number(row.Reads) },
          { name: 'Interactions', isNumber: true, show: (row) => format.number(row.Interactions) },
          { name: 'Last', show: (row) => format.timeInZone(row.LastAt) },
          { name: 'Purposes', show: (row) => line((row.Purposes ?? []).join('; ')) },
        ]}
      />
    </div>
  );
}
