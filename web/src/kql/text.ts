/** KQL that the app writes: literals and conditions. Values never become code. */

/** A string literal. */
export function literal(value: string): string {
  const escaped = value.replace(/[\\"]|[^ -~]/g, (character) => {
    if (character === '\\' || character === '"') return `\\${character}`;
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}

/** A time range: the last so long (`24h`), or from one instant to another. */
export interface Range {
  last: string;
  from: string;
  to: string;
}

export const RANGES = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
export const RANGE_FIRST = '24h';

const SPAN = /^(\d{1,4})([mhd])$/;

export function rangeOf(params: URLSearchParams): Range {
  const last = params.get('last') ?? '';
  const [from, to] = [params.get('from') ?? '', params.get('to') ?? ''];
  const isFixed = !Number.isNaN(Date.parse(from)) && !Number.isNaN(Date.parse(to));
  if (isFixed)
    return { last: '', from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return { last: SPAN.test(last) ? last : RANGE_FIRST, from: '', to: '' };
}

/** The condition that a row lies in the range. */
export function inRange(range: Range, column = 'TimeGenerated'): string {
  if (range.last) return `${column} > ago(${range.last})`;
  return `${column} between (datetime(${range.from}) .. datetime(${range.to}))`;
}

export function spanSeconds(range: Range): number {
  if (!range.last) return (Date.parse(range.to) - Date.parse(range.from)) / 1000;
  const [, amount, unit] = SPAN.exec(range.last) ?? [];
  return Number(amount) * { m: 60, h: 3600, d: 86_400 }[unit as 'm' | 'h' | 'd'];
}

const STEPS = ['1s', '5s', '15s', '1m', '5m', '15m', '1h', '3h', '12h', '1d', '7d'] as const;
const STEP_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200, 86_400, 604_800];

/** The step that cuts a range into about so many pieces. */
export function step(range: Range, pieces = 80): { text: string; seconds: number } {
  const wanted = spanSeconds(range) / pieces;
  const at = STEP_SECONDS.findIndex((seconds) => seconds >= wanted);
  const found = at < 0 ? STEPS.length - 1 : at;
  return { text: STEPS[found] ?? '1d', seconds: STEP_SECONDS[found] ?? 86_400 };
}
