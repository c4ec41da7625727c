/** A word with a colour; the word alone says all. */
export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'quiet';

export function Badge({ tone, text }: { tone: Tone; text: string }) {
  return <span class={`badge badge-${tone}`}>{text}</span>;
}

export function statusTone(status: number): Tone {
  if (status >= 500 || status === 0) return 'bad';
  if (status >= 400) return 'warn';
  return 'good';
}

export const Status = ({ code }: { code: number }) => (
  <Badge tone={statusTone(code)} text={code === 0 ? 'none' : String(code)} />
);

const OUTCOMES: Record<string, Tone> = {
  complete: 'good',
  refused: 'warn',
  client_gone: 'warn',
  backend_failed: 'bad',
  gateway_failed: 'bad',
  interrupted: 'bad',
};

export const Outcome = ({ name }: { name: string }) => (
  <Badge tone={OUTCOMES[name] ?? 'quiet'} text={name.replace('_', ' ')} />
);
