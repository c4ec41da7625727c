/** US dollars; what is too little to be told in digits stands in the title. */
import * as format from '../format';

export function Money({ value }: { value: unknown }) {
  return <span title={format.moneyTitle(value)}>{format.money(value)}</span>;
}
