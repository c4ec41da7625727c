/** Alert rules: how they stand, and a test of one. */
import { getJson } from './http';

export interface AlertRule {
  rule: {
    id: string;
    name: string;
    description: string;
    enabled: boolean;
    query: string;
    metric: string;
    operator: string;
    threshold: number;
    frequency_s: number;
    window_s: number;
    severity: number;
    sinks: string[];
  };
  is_builtin: boolean;
  firing: unknown[];
  /** Why it could not be looked at; empty if it could. */
  failure: string;
}

export interface AlertTest {
  measured: unknown;
  /** What each sink answered. */
  sinks: Record<string, unknown>;
}

export async function readRules(signal: AbortSignal): Promise<AlertRule[]> {
  const { rules } = await getJson<{ rules: AlertRule[] }>('/admin/v1/alerts', { signal });
  return rules;
}

export const testRule = (id: string): Promise<AlertTest> =>
  getJson(`/admin/v1/alerts/${encodeURIComponent(id)}/test`, { method: 'POST' });
