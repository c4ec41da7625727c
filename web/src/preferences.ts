/** What a reader prefers, kept in this browser: colours and the zone of times; and how wide the window is. */
import { effect, type Signal, signal } from '@preact/signals';

export const THEMES = ['auto', 'light', 'dark', 'contrast'] as const;
export type Theme = (typeof THEMES)[number];
export const ZONES = ['utc', 'local'] as const;
export type Zone = (typeof ZONES)[number];

function stored<T extends string>(name: string, values: readonly T[], first: T): Signal<T> {
  const found = values.find((value) => value === localStorage.getItem(name));
  const kept = signal(found ?? first);
  effect(() => localStorage.setItem(name, kept.value));
  return kept;
}

export const theme = stored<Theme>('theme', THEMES, 'auto');
export const zone = stored<Zone>('zone', ZONES, 'utc');

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

const narrow = window.matchMedia('(max-width: 600px)');
/** The window is as narrow as a telephone's. */
export const isNarrow = signal(narrow.matches);
narrow.addEventListener('change', () => {
  isNarrow.value = narrow.matches;
});
