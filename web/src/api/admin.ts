/** Administration of the running gateway. */
import { getJson } from './http';
import type { BudgetConfig } from './state';

/** Who is signed in. */
export interface Me {
  id: string;
  name: string;
  kind: string;
  roles: string[];
}

export const readMe = (signal: AbortSignal): Promise<Me> => getJson('/admin/v1/me', { signal });

export interface Circuit {
  deployment: string;
  state: string;
  back_in_ms: number | null;
  failures: number;
}

export interface Backend {
  id: string;
  is_up: boolean;
  drain: 'undrained' | 'balanced' | 'everything';
  in_flight: number;
  failures: number;
  last_failure: string;
  connections: Circuit;
  circuits: Circuit[];
}

export async function readBackends(signal: AbortSignal): Promise<Backend[]> {
  const { backends } = await getJson<{ backends: Backend[] }>('/admin/v1/backends', { signal });
  return backends;
}

export interface Certificate {
  listener: string;
  /** Seconds since 1970; null while there is none yet. */
  ends_at_s: number | null;
}

export async function readCertificates(signal: AbortSignal): Promise<Certificate[]> {
  const path = '/admin/v1/certificates';
  return (await getJson<{ certificates: Certificate[] }>(path, { signal })).certificates;
}

export async function drain(id: string, withStateful: boolean): Promise<void> {
  const path = `/admin/v1/backends/${encodeURIComponent(id)}/drain?stateful=${withStateful}`;
  await getJson(path, { method: 'POST' });
}

export async function undrain(id: string): Promise<void> {
  await getJson(`/admin/v1/backends/${encodeURIComponent(id)}/undrain`, { method: 'POST' });
}

export interface Counter {
  /** Such as `tokens/60s|subscription=team`. */
  counter: string;
  used: number;
  others_used: number;
}

export async function readLimits(signal: AbortSignal): Promise<Counter[]> {
  const { counters } = await getJson<{ counters: Counter[] }>('/admin/v1/limits', { signal });
  return counters;
}

export interface Budget {
  budget: BudgetConfig;
  spent_usd: number;
  forecast_usd: number;
  elapsed_ratio: number;
  /** Why it could not be asked for; empty if it could. */
  failure: string;
}

export async function readBudgets(signal: AbortSignal): Promise<Budget[]> {
  const { budgets } = await getJson<{ budgets: Budget[] }>('/admin/v1/budgets', { signal });
  return budgets;
}
