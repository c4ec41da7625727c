/** A budget, made, changed or removed: a part of the desired state. */
import { useState } from 'preact/hooks';
import { asFailure } from '../api/failure';
import { type BudgetConfig, deleteBudget, putBudget } from '../api/state';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Input, Select } from '../ui/field';

export const NEW_BUDGET: BudgetConfig = {
  id: '',
  amount_usd: 100,
  period: 'month',
  subscription: '',
  product: '',
  user: '',
  deployment: '',
  model: '',
};

const PERIODS: readonly [string, string][] = [
  ['day', 'Day'],
  ['week', 'Week, from Sunday on'],
  ['month', 'Month'],
  ['year', 'Year'],
];
const SCOPES = [
  ['subscription', 'Subscription'],
  ['product', 'Product'],
  ['user', 'User'],
  ['deployment', 'Deployment'],
  ['model', 'Model'],
] as const;

interface Props {
  budget: BudgetConfig;
  /** Ids that a new one cannot have. */
  taken: readonly string[];
  onClose: () => void;
  onDone: () => void;
}

export function EditBudget({ budget, taken, onClose, onDone }: Props) {
  const isNew = budget === NEW_BUDGET;
  const [draft, setDraft] = useState(budget);
  const [amount, setAmount] = useState(String(budget.amount_usd));
  const [trouble, setTrouble] = useState('');
  const set = (part: Partial<BudgetConfig>) => setDraft({ ...draft, ...part });
  const id = draft.id.trim();
  const run = async (work: () => Promise<unknown>) => {
    try {
      await work();
      onDone();
    } catch (error) {
      setTrouble(asFailure(error).message);
    }
  };
  const save = (event: Event) => {
    event.preventDefault();
    const amount_usd = Number(amount);
    if (!(amount_usd > 0)) return setTrouble('The amount is a number above 0, such as 250.50.');
    if (isNew && taken.includes(id)) return setTrouble(`There is a budget ${id} already.`);
    return run(() => putBudget({ ...draft, id, amount_usd }));
  };
  return (
    <Dialog title={isNew ? 'New budget' : `Budget ${budget.id}`} onClose={onClose}>
      <form class="dialog-body" onSubmit={save}>
        {isNew && (
          <Input
            label="Id"
            value={draft.id}
            onChange={(id) => set({ id })}
            required
            maxLength={128}
            hint="Metrics and alerts name the budget by it."
          />
        )}
        <Input label="US dollars" value={amount} onChange={setAmount} required />
        <Select
          label="Each"
          value={draft.period}
          options={PERIODS}
          onChange={(period) => set({ period })}
        />
        <fieldset>
          <legend>Only what this spends; empty for all</legend>
          {SCOPES.map(([name, label]) => (
            <Input
              key={name}
              label={label}
              value={draft[name]}
              onChange={(value) => set({ [name]: value.trim() })}
            />
          ))}
        </fieldset>
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <div class="dialog-foot">
          {!isNew && (
            <Button look="danger" onClick={() => run(() => deleteBudget(budget.id))}>
              Remove
            </Button>
          )}
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={!id}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
