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
