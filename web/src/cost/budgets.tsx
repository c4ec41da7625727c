/** The budgets: what is spent of each, and whether it will last. Administrators change them. */
import { useState } from 'preact/hooks';
import { type Budget, readBudgets, readMe } from '../api/admin';
import type { BudgetConfig } from '../api/state';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { Money } from '../ui/money';
import { Loading, Panel } from '../ui/panel';
import { Table, type TableColumn } from '../ui/table';
import { EditBudget } from './edit-budget';

/** The part from which the built-in alert “budget-80” fires. */
const NEAR = 0.8;

export function Budgets() {
  const found = useLoad('budgets', readBudgets);
  const me = useLoad('me', readMe);
  const [editing, setEditing] = useState<string | null>(null);
  const mayChange = me.value?.roles.includes('administrator') ?? false;
  const done = () => {
    setEditing(null);
    found.again();
  };
  return (
    <Panel
      title="Budgets"
      note="they refuse nothing"
      actions={mayChange && <Button onClick={() => setEditing('')}>New budget</Button>}
    >
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && <Empty kind="no-traffic" text="No budget is set." />}
      {found.value && found.value.length > 0 && (
        <Table<Budget>
          label="Budgets"
          rows={found.value}
          keyOf={({ budget }) => budget.id}
          columns={mayChange ? [...COLUMNS, changing(setEditing)] : COLUMNS}
        />
      )}
      {editing !== null && (
        <EditBudget id={editing} onClose={() => setEditing(null)} onDone={done} />
      )}
    </Panel>
  );
}

const COLUMNS: readonly TableColumn<Budget>[] = [
  { name: 'State', show: (row) => <Badge {...standing(row)} /> },
  { name: 'Budget', show: ({ budget }) => line(budget.id) },
  { name: 'For', show: ({ budget }) => line(scope(budget)) },
  { name: 'Each', show: ({ budget }) => line(budget.period) },
  {
    name: 'Spent',
    show: ({ budget, spent_usd }) => (
      <span class="budget">
        <meter
          aria-label={`Spent of ${budget.id}`}
          min={0}
          max={budget.amount_usd}
          low={budget.amount_usd * NEAR}
          high={budget.amount_usd * 0.999}
          optimum={0}
          value={spent_usd}
        />
        {format.percent(spent_usd, budget.amount_usd)}
      </span>
    ),
  },
  { name: 'US dollars', isNumber: true, show: (row) => <Money value={row.spent_usd} /> },
  { name: 'of', isNumber: true, show: ({ budget }) => format.money(budget.amount_usd) },
  { name: 'Forecast', isNumber: true, show: (row) => <Money value={row.forecast_usd} /> },
  { name: 'Period over', isNumber: true, show: (row) => format.percent(row.elapsed_ratio, 1) },
];

const changing = (edit: (id: string) => void): TableColumn<Budget> => ({
  name: 'Actions',
  show: ({ budget }) => (
    <Button aria-label={`Change ${budget.id}`} onClick={() => edit(budget.id)}>
      Change
    </Button>
  ),
});

function standing({ budget, spent_usd, forecast_usd, failure }: Budget): {
  tone: Tone;
  text: string;
} {
  if (failure) return { tone: 'warn', text: 'cannot be asked for' };
  if (spent_usd >= budget.amount_usd) return { tone: 'bad', text: 'spent' };
  if (forecast_usd >= budget.amount_usd) return { tone: 'warn', text: 'will not last' };
  if (spent_usd >= budget.amount_usd * NEAR) return { tone: 'warn', text: 'nearly spent' };
  return { tone: 'good', text: 'lasts' };
}

const scope = ({ subscription, product, user, deployment, model }: BudgetConfig): string =>
  [subscription, product, user, deployment, model].filter((part) => part).join(', ') ||
  'everything';
