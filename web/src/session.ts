/** Who is signed in. The admin token lives in this tab only and goes with it. */
import { computed, signal } from '@preact/signals';

const NAME = 'token';

export const token = signal(sessionStorage.getItem(NAME) ?? '');
export const isSignedIn = computed(() => token.value !== '');
/** Why the last session ended, for the sign-in form. */
export const parting = signal('');

export function keepToken(text: string): void {
  sessionStorage.setItem(NAME, text);
  parting.value = '';
  token.value = text;
}

export function signOut(why = ''): void {
  sessionStorage.removeItem(NAME);
  parting.value = why;
  token.value = '';
}
