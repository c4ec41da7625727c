/** Charts over time or over numbers, with a table for those who cannot see them. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import * as format from '../format';
import { theme, zone } from '../preferences';

export interface Line {
  name: string;
  values: (number | null)[];
  /** Show of a value in the legend. */
  show?: (value: number) => string;
  tone?: 'good' | 'warn' | 'bad';
}

export type ChartKind = 'line' | 'area' | 'bars' | 'points';

interface Props {
  label: string;
  /** Seconds since 1970, or plain numbers. */
  x: number[];
  lines: Line[];
  kind?: ChartKind;
  isTime?: boolean;
  isStacked?: boolean;
  height?: number;
}

/** Series drawn at most; more could not be told apart. */
export const LINES_MAX = 8;

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [colours, hours] = [theme.value, zone.value];
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const plot = new uPlot(options(props, element), data(props), element);
    const observer = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: props.height ?? 200 }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [props.x, props.lines, props.kind, colours, hours]);
  return (
    <figure class="chart">
      <div ref={box} aria-hidden="true" />
      <figcaption class="visually-hidden">{summary(props)}</figcaption>
    </figure>
  );
}

/** What the chart shows, in words: each line with its least, greatest and last value. */
function summary({ label, lines }: Props): string {
  const parts = lines.map(({ name, values, show = format.number }) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return `${name}: no values`;
    const last = known[known.length - 1] ?? 0;
    const [least, most] = known.reduce<[number, number]>(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    return `${name}: from ${show(least)} to ${show(most)}, last ${show(last)}`;
  });
  return `${label}. ${parts.join('; ')}`;
}

/** Room beside a single place, in seconds: uPlot would take a year. */
const ROOM = 60;

function data({ x, lines, isStacked }: Props): uPlot.AlignedData {
  const columns = lines.slice(0, LINES_MAX).map((line) => line.values);
  const [only] = x;
  if (only !== undefined && x.length === 1) {
    return [
      [only - ROOM, only, only + ROOM],
      ...columns.map((values) => [null, values[0] ?? null, null]),
    ];
  }
  if (!isStacked) return [x, ...columns];
  // Each line stands on those after it, so that the first is the outline of all.
  const sums: (number | null)[][] = [];
  let below: number[] = x.map(() => 0);
  for (const values of [...columns].reverse()) {
    below = below.map((sum, at) => sum + (values[at] ?? 0));
    sums.unshift(below);
  }
  return [x, ...sums];
}

function options(props: Props, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour('muted'),
    font: `11px ${style.fontFamily}`,
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  const x: uPlot.Axis = { ...axis, size: 28, grid: { show: false } };
  if (props.isTime ?? true) {
    x.values = (_, splits, __, ___, increment) =>
      splits.map((seconds) => format.tick(seconds, increment));
  }
  return {
    width: element.clientWidth,
    height: props.height ?? 200,
    // On the right there is room for half of the last time.
    padding: [8, 18, 0, 0],
    legend: { live: true },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: props.isTime ?? true }, y: { range: yRange } },
    axes: [x, { ...axis, size: 56, values: (_, splits) => splits.map(format.compact) }],
    series: [
      { label: props.isTime === false ? 'x' : `Time (${format.zoneName()})`, value: xValue(props) },
      ...props.lines.slice(0, LINES_MAX).map((line, at) => series(props, line, at, colour)),
    ],
  };
}

/** From zero, with room above: a scale cut off at its foot makes small changes look great. */
const yRange = (_: uPlot, least: number | null, most: number | null): [number, number] => [
  Math.min(0, least ?? 0),
  (most ?? 0) <= 0 ? 1 : (most ?? 1) * 1.1,
];

const xValue =
  ({ isTime = true }: Props) =>
  (_: uPlot, value: number | null): string => {
    if (value === null) return '–';
    return isTime ? format.time(new Date(value * 1000)).slice(0, 19) : format.number(value);
  };

/** So few values that a line between them would not show. */
const isSparse = ({ values }: Line): boolean =>
  values.filter((value) => value !== null).length < 12;

function series(
  props: Props,
  line: Line,
  at: number,
  colour: (name: string) => string,
): uPlot.Series {
  const stroke = colour(line.tone ?? `series-${at + 1}`);
  const found: uPlot.Series = {
    label: line.name,
    stroke,
    width: 1.75,
    points: { show: props.kind === 'points' || isSparse(line), size: 6, fill: stroke },
    value: (_, __, ___, index) => {
      const value = index === null ? null : line.values[index];
      return value === null || value === undefined ? '–' : (line.show ?? format.number)(value);
    },
  };
  if (props.kind === 'bars') {
    const bars = uPlot.paths.bars?.({ size: [0.8, 40], radius: 0.1 });
    if (bars) found.paths = bars;
    found.fill = props.isStacked ? stroke : `${stroke}99`;
    found.width = 0;
    found.points = { show: false };
  }
  if (props.kind === 'area') found.fill = `${stroke}33`;
  if (props.kind === 'points') found.paths = () => null;
  return found;
}
