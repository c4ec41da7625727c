/** What stands in the form of an alert rule: numbers and lists as text, until they are sent. */
import type { RuleConfig } from '../api/alerts';
import type { Pair } from '../ui/pairs';

export const NUMBERS = {
  threshold: 'Threshold',
  frequency_s: 'Look every, in seconds',
  window_s: 'Over the last, in seconds',
  failing_periods: 'Fire when it fails in',
  evaluation_periods: 'of the last evaluations',
  mute_s: 'Then be silent for, in seconds',
} as const;

export type NumberName = keyof typeof NUMBERS;

export interface Draft {
  rule: RuleConfig;
  isGauge: boolean;
  numbers: Record<NumberName, string>;
  dimensions: string;
  labels: Pair[];
  properties: Pair[];
}

export const NEW: RuleConfig = {
  id: '',
  name: '',
  description: '',
  enabled: true,
  query: '',
  metric: '',
  metric_labels: {},
  measure_column: '',
  aggregation: 'Count',
  operator: 'GreaterThan',
  threshold: 0,
  dimensions: [],
  frequency_s: 60,
  window_s: 300,
  evaluation_periods: 1,
  failing_periods: 1,
  severity: 3,
  auto_resolve: true,
  mute_s: 0,
  sinks: [],
  custom_properties: {},
};

const names = Object.keys(NUMBERS) as NumberName[];

export const draftOf = (rule: RuleConfig): Draft => ({
  rule,
  isGauge: rule.metric !== '',
  numbers: Object.fromEntries(names.map((name) => [name, String(rule[name])])) as Draft['numbers'],
  dimensions: rule.dimensions.join(', '),
  labels: Object.entries(rule.metric_labels),
  properties: Object.entries(rule.custom_properties),
});

/** The rule that a draft is of; what is wrong with it is thrown. Whether it holds, the gateway says. */
export function ruleOf({ rule, isGauge, numbers, dimensions, ...draft }: Draft): RuleConfig {
  const found = Object.fromEntries(names.map((name) => [name, numberOf(name, numbers[name])]));
  const listed = dimensions.split(',').map((name) => name.trim());
  return {
    ...rule,
    ...found,
    id: rule.id.trim(),
    query: isGauge ? '' : rule.query,
    measure_column: isGauge ? '' : rule.measure_column.trim(),
    metric: isGauge ? rule.metric : '',
    metric_labels: isGauge ? mapOf(draft.labels) : {},
    custom_properties: mapOf(draft.properties),
    dimensions: listed.filter((name) => name),
  };
}

/** Rows that are empty are left out. */
function mapOf(pairs: readonly Pair[]): Record<string, string> {
  const named = pairs.map(([name, value]) => [name.trim(), value] as const);
  const given = new Map(named.filter((pair) => pair.some((text) => text)));
  const twice = named.find(([name, value]) => given.has(name) && given.get(name) !== value);
  if (twice) throw new Error(`“${twice[0]}” has two values.`);
  return Object.fromEntries(given);
}

function numberOf(name: NumberName, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isFit =
    name === 'threshold' ? Number.isFinite(value) : Number.isSafeInteger(value) && value >= 0;
  if (isFit) return value;
  const what = name === 'threshold' ? 'a number' : 'a whole number from 0';
  throw new Error(`“${NUMBERS[name]}” is ${what}.`);
}
