/**
 * Who is signed in: with a token, which lives in this tab only, or with a session of the browser,
 * which the server keeps and a cookie names.
 */
import { computed, signal } from '@preact/signals';
import { failureOf } from './api/failure';

const NAME = 'token';

export const token = signal(sessionStorage.getItem(NAME) ?? '');
/** What state-changing calls of a session prove themselves with; empty without one. */
export const csrfToken = signal('');
/** Providers to sign in with. */
export const providers = signal<string[]>([]);
/** There is an account of this gateway's own to sign in with. */
export const hasLocalAccount = signal(false);
const hasSession = signal(false);
export const isSignedIn = computed(() => token.value !== '' || hasSession.value);
/** Why the last session ended, for the sign-in form. */
export const parting = signal('');

export function keepToken(text: string): void {
  sessionStorage.setItem(NAME, text);
  parting.value = '';
  token.value = text;
}

interface SessionState {
  principal: object | null;
  csrf_token: string;
  providers: string[];
  has_local_account: boolean;
}

/** Asks whether this browser has a session, unless there is a token. */
export async function findSession(): Promise<void> {
  if (token.value) return;
  const response = await fetch('/auth/session', { cache: 'no-store' });
  if (!response.ok) return;
  const found: SessionState = await response.json();
  csrfToken.value = found.csrf_token;
  providers.value = found.providers;
  hasLocalAccount.value = found.has_local_account;
  hasSession.value = found.principal !== null;
}

/** Signs in with the local account; the set-up link makes it the first administrator. */
export async function signInLocally(name: string, password: string, setUp: string): Promise<void> {
  const response = await fetch('/auth/local', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password, set_up: setUp }),
  });
  if (!response.ok) throw await failureOf(response);
  parting.value = '';
  await findSession();
}

/** Forgets who was signed in, on this side. */
export function forget(why = ''): void {
  sessionStorage.removeItem(NAME);
  parting.value = why;
  token.value = '';
  hasSession.value = false;
}

/** Ends the session on both sides; the provider may have a place to sign out, too. */
export async function signOut(): Promise<void> {
  const [had, proof] = [hasSession.value, csrfToken.value];
  forget();
  if (!had) return;
  const response = await fetch('/auth/sign-out', {
    method: 'POST',
    headers: { 'x-csrf-token': proof },
  });
  const { end_session_url: url }: { end_session_url: string } = await response.json();
  window.location.assign(url || '/');
}
