/** Saved queries: some that everybody has, and the reader's own, kept in this browser. */
import { signal } from '@preact/signals';
import promptUsage from '../kql/samples/prompt_usage.kql?raw';
import usageByAddress from '../kql/samples/usage_by_ip_and_model.kql?raw';

export interface SavedQuery {
  name: string;
  text: string;
}

export const BUILT_IN: readonly SavedQuery[] = [
  { name: 'Usage by address and model (reference architecture)', text: usageByAddress.trim() },
  { name: 'Prompt usage (reference architecture)', text: promptUsage.trim() },
  {
    name: 'Calls by deployment over time',
    text: `Interactions
| where TimeGenerated > ago(24h)
| summarize Calls = count() by bin(TimeGenerated, 15m), DeploymentName
| render timechart`,
  },
  {
    name: 'Cost by subscription and model',
    text: `Interactions
| where TimeGenerated > ago(30d)
| summarize CostUsd = sum(CostUsd), Tokens = sum(TotalTokens), Calls = count() by ApimSubscriptionId, ModelName
| sort by CostUsd desc`,
  },
  {
    name: 'Slowest calls',
    text: `Interactions
| where TimeGenerated > ago(24h)
| top 50 by TotalTime desc
| project TimeGenerated, CorrelationId, DeploymentName, TotalTime, TimeToFirstByte, TimeToFirstToken, GatewayOverhead, TotalTokens`,
  },
  {
    name: 'Refused calls and why',
    text: `Interactions
| where TimeGenerated > ago(24h) and LastErrorReason != ''
| summarize Calls = count() by LastErrorReason, ResponseCode, CallerIpAddress
| sort by Calls desc`,
  },
  {
    name: 'Who read prompts and answers',
    text: `ContentReads
| where TimeGenerated > ago(30d)
| project TimeGenerated, PrincipalName, Purpose, InteractionId, Query
| sort by TimeGenerated desc`,
  },
];

const NAME = 'queries';
const OWN_MAX = 200;

const isSaved = (value: unknown): value is SavedQuery =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  'text' in value &&
  typeof value.name === 'string' &&
  typeof value.text === 'string';

function read(): SavedQuery[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(NAME) ?? '[]');
    return Array.isArray(found) ? found.filter(isSaved) : [];
  } catch {
    return [];
  }
}

export const own = signal<SavedQuery[]>(read());

function keep(queries: SavedQuery[]): void {
  own.value = queries.slice(0, OWN_MAX);
  localStorage.setItem(NAME, JSON.stringify(own.value));
}

/** Keeps a query under a name; one of the same name is replaced. */
export const save = (query: SavedQuery): void =>
  keep([query, ...own.value.filter(({ name }) => name !== query.name)]);

export const forget = (name: string): void =>
  keep(own.value.filter((query) => query.name !== name));
