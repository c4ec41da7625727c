/** The budgets: what is spent of each, and whether it will last. */
import { type Budget, readBudgets } from '../api/admin';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, type Tone } from '../ui/badge';
import { Empty, Failed } from '../ui/empty';
import { Loading, Panel } from '../ui/panel';
import { Table } from '../ui/table';

/** The part from which the built-in alert “budget-80” fires. */
const NEAR = 0.8;

export function Budgets() {
  const found = useLoad('budgets', readBudgets);
  return (
    <Panel title="Budgets" note="set in the configuration; they refuse nothing">
      {found.failure && <Failed failure={found.failure} again={found.again} />}
      {!found.value && !found.failure && <Loading />}
      {found.value?.length === 0 && (
        <Empty kind="no-traffic" text="No budget is set: add one under cost.budgets." />
      )}
      {found.value && found.value.length > 0 && (
        <Table<Budget>
          label="Budgets"
          rows={found.value}
          keyOf={({ budget }) => budget.id}
          isStacked
          columns={[
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
            { name: 'US dollars', isNumber: true, show: (row) => format.money(row.spent_usd) },
            { name: 'of', isNumber: true, show: ({ budget }) => format.money(budget.amount_usd) },
            { name: 'Forecast', isNumber: true, show: (row) => format.money(row.forecast_usd) },
            {
              name: 'Period over',
              isNumber: true,
              show: (row) => format.percent(row.elapsed_ratio, 1),
            },
          ]}
        />
      )}
    </Panel>
  );
}

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

const scope = ({ subscription, product, user, deployment, model }: Budget['budget']): string =>
  [subscription, product, user, deployment, model].filter((part) => part).join(', ') ||
  'everything';
