/** A budget, made, changed or removed: a part of the desired state. */
import { useState } from 'preact/hooks';
import type { Tagged } from '../api/http';
import { type BudgetConfig, deleteBudget, putBudget, readBudget } from '../api/state';
import { Current } from '../ui/current';
import { Input, Select } from '../ui/field';
import { FormDialog } from '../ui/form-dialog';

const NEW: BudgetConfig = {
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
  /** Id of the one that is changed; empty for a new one. */
  id: string;
  onClose: () => void;
  onDone: () => void;
}

export function EditBudget({ id, ...ends }: Props) {
  if (!id) return <Form title="New budget" found={{ value: NEW, etag: null }} {...ends} />;
  const title = `Budget ${id}`;
  return (
    <Current
      title={title}
      read={(signal: AbortSignal) => readBudget(id, signal)}
      onClose={ends.onClose}
    >
      {(found: Tagged<BudgetConfig>) => <Form title={title} found={found} {...ends} />}
    </Current>
  );
}

interface FormProps {
  title: string;
  /** There is no tag of a new one. */
  found: { value: BudgetConfig; etag: string | null };
  onClose: () => void;
  onDone: () => void;
}

function Form({ title, found: { value: budget, etag }, onClose, onDone }: FormProps) {
  const isNew = etag === null;
  const [draft, setDraft] = useState(budget);
  const [amount, setAmount] = useState(String(budget.amount_usd));
  const set = (part: Partial<BudgetConfig>) => setDraft({ ...draft, ...part });
  const id = draft.id.trim();
  const save = async (reason: string) => {
    const amount_usd = Number(amount);
    if (!(amount_usd > 0)) throw new Error('The amount is a number above 0, such as 250.50.');
    await putBudget({ ...draft, id, amount_usd }, etag, reason);
    onDone();
  };
  const remove = async (etag: string, reason: string) => {
    await deleteBudget(budget.id, etag, reason);
    onDone();
  };
  return (
    <FormDialog
      title={title}
      verb="Save"
      isReady={id !== ''}
      onSubmit={save}
      onRemove={etag === null ? undefined : (reason) => remove(etag, reason)}
      onClose={onClose}
    >
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
    </FormDialog>
  );
}
