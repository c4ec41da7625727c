/** Names and their values, a row for each. */
import { Button } from './button';
import { Input } from './field';

export type Pair = readonly [name: string, value: string];

interface Props {
  legend: string;
  /** What one of them is called. */
  one: string;
  pairs: readonly Pair[];
  onChange: (pairs: Pair[]) => void;
}

export function Pairs({ legend, one, pairs, onChange }: Props) {
  const set = (at: number, pair: Pair) =>
    onChange(pairs.map((old, index) => (index === at ? pair : old)));
  return (
    <fieldset class="pairs">
      <legend>{legend}</legend>
      {pairs.map(([name, value], at) => (
        <div class="pair" key={at}>
          <Input label={one} value={name} onChange={(name) => set(at, [name, value])} />
          <Input label="Value" value={value} onChange={(value) => set(at, [name, value])} />
          <Button
            icon="close"
            look="quiet"
            aria-label={`Take ${one.toLowerCase()} ${at + 1} away`}
            onClick={() => onChange(pairs.filter((_, index) => index !== at))}
          />
        </div>
      ))}
      <Button onClick={() => onChange([...pairs, ['', '']])}>Add a {one.toLowerCase()}</Button>
    </fieldset>
  );
}
