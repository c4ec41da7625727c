/** Every call of the admin listener goes through here. */
import { csrfToken, forget, token } from '../session';
import { Failure, failureOf } from './failure';

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Present this token in place of the session's. */
  token?: string;
}

/** Sends a call; an error status becomes a [`Failure`]. */
export async function send(path: string, call: Call = {}): Promise<Response> {
  const headers: Record<string, string> = { ...call.headers };
  const presented = call.token ?? token.value;
  if (presented) headers.authorization = `Bearer ${presented}`;
  else headers['x-csrf-token'] = csrfToken.value;
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(path, {
      method: call.method ?? 'GET',
      headers,
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ?? null,
      cache: 'no-store',
      redirect: 'error',
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Failure('unreachable', 'the gateway does not answer: is it running?');
  }
  if (response.ok) return response;
  if (response.status === 412 && headers['if-match']) {
    throw new Failure(
      'stale',
      'Somebody else changed it meanwhile: close this and open it again to change what is there now.',
    );
  }
  const failure = await failureOf(response);
  if (failure.kind === 'signed-out' && call.token === undefined) {
    forget('Your session has ended. Sign in again.');
  }
  throw failure;
}

/** A header holds no line breaks and no letters beyond ASCII: those go percent-encoded. */
export function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text.trim() : encodeURIComponent(text.trim());
}

export async function getJson<T>(path: string, call: Call = {}): Promise<T> {
  return (await send(path, call)).json();
}

/** What is there, with the tag that a change of it names. */
export interface Tagged<T> {
  value: T;
  etag: string;
}

export async function getTagged<T>(path: string, call: Call = {}): Promise<Tagged<T>> {
  const response = await send(path, call);
  return { value: await response.json(), etag: response.headers.get('etag') ?? '' };
}

/** The address of a change, with the reason for it; an empty one is left out. */
export const withReason = (path: string, reason: string): string =>
  reason ? `${path}?reason=${encodeURIComponent(reason)}` : path;

/** Puts something there; `etag` is null where nothing is yet. */
export const putTagged = <T>(
  path: string,
  body: T,
  etag: string | null,
  reason: string,
): Promise<T> =>
  getJson(withReason(path, reason), { method: 'PUT', body, headers: unchanged(etag) });

/** Removes what was read. */
export const deleteTagged = (path: string, etag: string, reason: string): Promise<unknown> =>
  getJson(withReason(path, reason), { method: 'DELETE', headers: unchanged(etag) });

/** A change holds only while what was read is still there; without a tag, only where nothing is yet. */
export const unchanged = (etag: string | null): Record<string, string> =>
  etag === null ? { 'if-none-match': '*' } : { 'if-match': etag };
