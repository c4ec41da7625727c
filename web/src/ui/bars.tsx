/** Values by name as horizontal bars. */
export interface Bar {
  name: string;
  value: number;
  text: string;
  href?: string;
}

export function Bars({ bars, label }: { bars: readonly Bar[]; label: string }) {
  const most = Math.max(...bars.map((bar) => bar.value), 0);
  return (
    <ul class="bars" aria-label={label}>
      {bars.map((bar) => (
        <li key={bar.name}>
          <span class="bar-name">
            {bar.href ? <a href={bar.href}>{bar.name || '(none)'}</a> : bar.name || '(none)'}
          </span>
          <span class="bar-value">{bar.text}</span>
          <span class="bar-track" aria-hidden="true">
            <span
              class="bar-fill"
              style={{ width: `${most > 0 ? Math.max(1, (100 * bar.value) / most) : 0}%` }}
            />
          </span>
        </li>
      ))}
    </ul>
  );
}
