/** Where the reader is: the address bar is the one place that holds the state of a screen. */
import { computed, signal } from '@preact/signals';

interface Place {
  path: string;
  params: URLSearchParams;
}

const read = (): Place => ({
  path: window.location.pathname,
  params: new URLSearchParams(window.location.search),
});

export const place = signal<Place>(read());
export const path = computed(() => place.value.path);

/** Goes to an address of this app. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  place.value = read();
}

/** The address of `to` with these parameters; those without a value are left out. */
export function address(to: string, params: Record<string, string | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) search.set(name, value);
  const text = search.toString();
  return text ? `${to}?${text}` : to;
}

export const param = (name: string): string => place.value.params.get(name) ?? '';

/** Changes parameters of the screen at hand; null and the empty text take one away. */
export function setParams(changes: Record<string, string | null>, { replace = true } = {}): void {
  const params = new URLSearchParams(place.value.params);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  const text = params.toString();
  go(text ? `${place.value.path}?${text}` : place.value.path, { replace });
}

/** A link that the app follows by itself: same origin, plain click, no download. */
function followed(event: MouseEvent): HTMLAnchorElement | null {
  const isPlain =
    event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!isPlain || event.defaultPrevented || !(event.target instanceof Element)) return null;
  const link = event.target.closest('a');
  const isOurs = link?.origin === window.location.origin && !link.target && !link.download;
  return link && isOurs ? link : null;
}

export function listen(): void {
  window.addEventListener('popstate', () => {
    place.value = read();
  });
  document.addEventListener('click', (event) => {
    const link = followed(event);
    if (!link || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
