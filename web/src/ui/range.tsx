/** The time range of a screen; it stands in the URL. */
import { RANGE_FIRST, RANGES, rangeOf } from '../kql/text';
import { place, setParams } from '../location';
import { Select } from './field';

export function RangePicker() {
  const range = rangeOf(place.value.params);
  const fixed = `${range.from} – ${range.to}`;
  const options: [string, string][] = RANGES.map((last) => [last, `last ${last}`]);
  if (range.from) options.unshift([fixed, fixed]);
  else if (!options.some(([last]) => last === range.last))
    options.unshift([range.last, `last ${range.last}`]);
  const choose = (last: string) => {
    if (last === fixed) return;
    setParams({ last: last === RANGE_FIRST ? null : last, from: null, to: null });
  };
  return (
    <Select label="Time range" value={range.last || fixed} options={options} onChange={choose} />
  );
}
