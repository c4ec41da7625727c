/** Values by time and name as lines over the whole range. */
import { type Range, spanSeconds } from '../kql/text';
import type { Line } from '../ui/chart';

export interface Point {
  at: number;
  name: string;
  value: number;
}

/** Lines drawn beside the one for all others. */
const NAMED_MAX = 7;
const PLACES_MAX = 2000;

/** The places of a range, one each step, up to its end. */
export function places(range: Range, stepSeconds: number): number[] {
  const end = range.last ? Date.now() / 1000 : Date.parse(range.to) / 1000;
  const last = Math.floor(end / stepSeconds) * stepSeconds;
  const count = Math.min(PLACES_MAX, Math.ceil(spanSeconds(range) / stepSeconds) + 1);
  return Array.from({ length: count }, (_, at) => last - (count - 1 - at) * stepSeconds);
}

/** A line for each of the greatest names and one for the rest; where nothing is, zero. */
export function filledSeries(
  points: Point[],
  range: Range,
  stepSeconds: number,
): { x: number[]; lines: Line[] } {
  const x = places(range, stepSeconds);
  const totals = new Map<string, number>();
  for (const { name, value } of points) totals.set(name, (totals.get(name) ?? 0) + value);
  const ranked = [...totals].sort((left, right) => right[1] - left[1]).map(([name]) => name);
  const named = new Set(ranked.slice(0, NAMED_MAX));
  const sums = new Map<string, Map<number, number>>();
  for (const { at, name, value } of points) {
    const shown = named.has(name) ? name : 'others';
    const line = sums.get(shown) ?? new Map<number, number>();
    sums.set(shown, line.set(at, (line.get(at) ?? 0) + value));
  }
  const order = [...named, 'others'].filter((name) => sums.has(name));
  const lines = order.map((name) => ({
    name,
    values: x.map((at) => sums.get(name)?.get(at) ?? 0),
  }));
  return { x, lines };
}
