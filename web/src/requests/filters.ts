/** What the list of requests shows: filters and columns, both in the URL. */
import { inRange, literal, type Range } from '../kql/text';

export interface Filter {
  name: string;
  label: string;
  column: string;
}

/** Filters by one of the values that occur. */
export const FILTERS: readonly Filter[] = [
  { name: 'kind', label: 'Kind', column: 'Kind' },
  { name: 'deployment', label: 'Deployment', column: 'DeploymentName' },
  { name: 'subscription', label: 'Subscription', column: 'ApimSubscriptionId' },
  { name: 'backend', label: 'Backend', column: 'BackendId' },
  { name: 'outcome', label: 'Outcome', column: 'Outcome' },
];

export const STATUSES: readonly [string, string][] = [
  ['', 'any'],
  ['2xx', '2xx'],
  ['4xx', '4xx'],
  ['5xx', '5xx'],
  ['429', '429'],
  ['401', '401'],
];

/** The value of a filter that stands for the empty one. */
export const NONE = '(none)';

const TEXT_COLUMNS = ['Url', 'UserId', 'UserAgent', 'OperationId', 'ModelName', 'LastErrorReason'];
const WHOLE_COLUMNS = ['CorrelationId', 'RequestId', 'CallerIpAddress', 'ThreadId', 'RunId'];

/** The conditions that the parameters of the URL ask for. */
export function conditions(params: URLSearchParams): string[] {
  const found: string[] = [];
  for (const { name, column } of FILTERS) {
    const value = params.get(name);
    if (value) found.push(`${column} == ${literal(value === NONE ? '' : value)}`);
  }
  const status = params.get('status') ?? '';
  const family = /^([1-5])xx$/.exec(status)?.[1];
  if (family) found.push(`ResponseCode between (${family}00 .. ${family}99)`);
  else if (/^\d{1,3}$/.test(status)) found.push(`ResponseCode == ${status}`);
  const text = params.get('text')?.trim();
  if (text) {
    const wanted = literal(text);
    const tests = [
      ...TEXT_COLUMNS.map((column) => `${column} contains ${wanted}`),
      ...WHOLE_COLUMNS.map((column) => `${column} == ${wanted}`),
    ];
    found.push(`(${tests.join(' or ')})`);
  }
  return found;
}

/** The query for the rows in range that match. */
export function source(range: Range, params: URLSearchParams): string {
  return ['Interactions', inRange(range), ...conditions(params)].join('\n| where ');
}

/** The values that occur in range, for each filter. */
export function facetQuery(range: Range): string {
  const sets = FILTERS.map(({ name, column }) => `${name} = make_set(${column}, 200)`);
  return `Interactions | where ${inRange(range)} | summarize ${sets.join(', ')}`;
}
