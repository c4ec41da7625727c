/** Alert rules: how they stand, a test of one, and those of the desired state, which are changed. */
import { deleteTagged, getJson, getTagged, putTagged, type Tagged } from './http';

/** Whose a rule is. Where ids are the same, the later one here is in force. */
export type RuleOrigin = 'built_in' | 'file' | 'state';

/** A rule on a query or, without one, on a gauge. Names are those of the configuration file. */
export interface RuleConfig {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
  query: string;
  metric: string;
  metric_labels: Record<string, string>;
  measure_column: string;
  aggregation: string;
  operator: string;
  threshold: number;
  dimensions: string[];
  frequency_s: number;
  window_s: number;
  evaluation_periods: number;
  failing_periods: number;
  severity: number;
  auto_resolve: boolean;
  mute_s: number;
  sinks: string[];
  custom_properties: Record<string, string>;
}

export interface AlertRule {
  rule: RuleConfig;
  origin: RuleOrigin;
  /** Whose rule would be in force without it; null if none would. */
  replaces: RuleOrigin | null;
  /** Sinks that it names and that this gateway does not have. */
  missing_sinks: string[];
  firing: unknown[];
  /** Why it could not be looked at; empty if it could. */
  failure: string;
}

/** The rules in force, and what a rule can name. */
export interface AlertList {
  rules: AlertRule[];
  sinks: string[];
  gauges: string[];
}

export interface AlertTest {
  measured: unknown;
  /** What each sink answered. */
  sinks: Record<string, unknown>;
}

export const readRules = (signal: AbortSignal): Promise<AlertList> =>
  getJson('/admin/v1/alerts', { signal });

export const testRule = (id: string): Promise<AlertTest> =>
  getJson(`/admin/v1/alerts/${encodeURIComponent(id)}/test`, { method: 'POST' });

const rule = (id: string): string => `/admin/v1/alert-rules/${encodeURIComponent(id)}`;

export const readRule = (id: string, signal: AbortSignal): Promise<Tagged<RuleConfig>> =>
  getTagged(rule(id), { signal });

/** `etag` is null where the desired state has none with this id yet. */
export const putRule = (
  body: RuleConfig,
  etag: string | null,
  reason: string,
): Promise<RuleConfig> => putTagged(rule(body.id), body, etag, reason);

export const deleteRule = (id: string, etag: string, reason: string): Promise<unknown> =>
  deleteTagged(rule(id), etag, reason);
