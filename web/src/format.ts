/** Values as people read them. Times carry their zone. */
import { zone } from './preferences';

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

/** Kusto writes seven digits of a second; `Date` reads three. */
export function instant(text: unknown): Date | null {
  if (typeof text !== 'string' || text === '') return null;
  const date = new Date(text.replace(/(\.\d{3})\d+/, '$1'));
  return Number.isNaN(date.getTime()) ? null : date;
}

/** The zone in force, as it is shown: `UTC` or `UTC+02:00`. */
export function zoneName(at = new Date()): string {
  const minutes = -at.getTimezoneOffset();
  if (zone.value === 'utc') return 'UTC';
  const sign = minutes < 0 ? '-' : '+';
  return `UTC${sign}${pad(Math.trunc(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
}

function fields(date: Date): [number, number, number, number, number, number, number] {
  if (zone.value === 'utc') {
    return [
      date.getUTCFullYear(),
      date.getUTCMonth() + 1,
      date.getUTCDate(),
      date.getUTCHours(),
      date.getUTCMinutes(),
      date.getUTCSeconds(),
      date.getUTCMilliseconds(),
    ];
  }
  return [
    date.getFullYear(),
    date.getMonth() + 1,
    date.getDate(),
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
    date.getMilliseconds(),
  ];
}

/** `2026-11-28 14:03:27.123`, in the zone in force. */
export function time(value: unknown): string {
  const date = value instanceof Date ? value : instant(value);
  if (!date) return '–';
  const [year, month, day, hour, minute, second, milli] = fields(date);
  return `${year}-${pad(month)}-${pad(day)} ${pad(hour)}:${pad(minute)}:${pad(second)}.${pad(milli, 3)}`;
}

/** `2026-11-28 14:03:27`, where many stand below each other. */
export const second = (value: unknown): string => time(value).replace(/\.\d{3}$/, '');

/** A time with its zone. */
export const timeInZone = (value: unknown): string => {
  const text = time(value);
  return text === '–' ? text : `${text} ${zoneName(instant(value) ?? new Date())}`;
};

/** `14:03` or `28 Nov`, for the axis of a chart. */
export function tick(seconds: number, stepSeconds: number): string {
  const [, month, day, hour, minute, second] = fields(new Date(seconds * 1000));
  if (stepSeconds >= 86_400) return `${pad(month)}-${pad(day)}`;
  if (stepSeconds >= 60) return `${pad(hour)}:${pad(minute)}`;
  return `${pad(hour)}:${pad(minute)}:${pad(second)}`;
}

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value);

export const number = (value: unknown): string => (isNumber(value) ? plain.format(value) : '–');
/** `1 attempt`, `2 attempts`. */
export const counted = (value: unknown, one: string, many = `${one}s`): string =>
  `${number(value)} ${value === 1 ? one : many}`;

export const compact = (value: unknown): string => (isNumber(value) ? short.format(value) : '–');

export function duration(milliseconds: unknown): string {
  if (!isNumber(milliseconds)) return '–';
  if (milliseconds < 1000) return `${plain.format(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${plain.format(milliseconds / 1000)} s`;
  return `${plain.format(milliseconds / 60_000)} min`;
}

export function bytes(value: unknown): string {
  if (!isNumber(value)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [amount, at] = [value, 0];
  while (amount >= 1000 && at < units.length - 1) [amount, at] = [amount / 1000, at + 1];
  return `${plain.format(amount)} ${units[at]}`;
}

/** What is less is not told in digits. */
const MONEY_MIN = 0.000001;

const dollars = (value: unknown): unknown =>
  typeof value === 'string' ? Number.parseFloat(value) : value;

const isTiny = (amount: number): boolean => amount !== 0 && Math.abs(amount) < MONEY_MIN;

/** US dollars; small amounts keep the digits that matter. Decimals come as text. */
export function money(value: unknown): string {
  const amount = dollars(value);
  if (!isNumber(amount)) return '–';
  if (isTiny(amount)) return amount < 0 ? '>-$0.000001' : '<$0.000001';
  if (amount !== 0 && Math.abs(amount) < 0.01) return `$${amount.toPrecision(2)}`;
  return `$${amount.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/** What `money` does not tell of an amount, in the twelve digits that are kept; nothing if it tells all. */
export function moneyTitle(value: unknown): string | undefined {
  const amount = dollars(value);
  return isNumber(amount) && isTiny(amount)
    ? `$${amount.toFixed(12).replace(/0+$/, '')}`
    : undefined;
}

export const percent = (part: number, whole: number): string =>
  whole === 0 ? '–' : `${plain.format((100 * part) / whole)} %`;

/** A cell of any type as text. */
export function cell(value: unknown, type: string): string {
  if (value === null || value === undefined) return '';
  if (type === 'datetime') return time(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
