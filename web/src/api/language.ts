/** What the editor asks of the server while somebody types. */
import { getJson } from './http';

export interface Choice {
  label: string;
  kind: 'table' | 'column' | 'variable' | 'operator' | 'function' | 'aggregate' | 'keyword';
  detail: string;
  insert: string;
}

export interface Choices {
  from: number;
  to: number;
  items: Choice[];
}

export interface Meaning {
  from: number;
  to: number;
  text: string;
}

export interface Mistake {
  from: number;
  to: number;
  severity: 'error' | 'warning' | 'info';
  code: string;
  message: string;
}

const ask = <T>(what: string, body: object, signal?: AbortSignal): Promise<T> =>
  getJson(`/admin/v1/kql/${what}`, { method: 'POST', body, ...(signal && { signal }) });

export const complete = (text: string, offset: number, signal: AbortSignal): Promise<Choices> =>
  ask('complete', { text, offset }, signal);

export const hover = (text: string, offset: number): Promise<Meaning> =>
  ask('hover', { text, offset });

export async function check(text: string): Promise<Mistake[]> {
  return (await ask<{ items: Mistake[] }>('check', { text })).items;
}

export async function format(text: string): Promise<string> {
  return (await ask<{ text: string }>('format', { text })).text;
}
