/** Results as files, made by the gateway: masked, recorded and guarded as its queries are. */
import { headerText, send } from './api/http';

export const EXPORTS = {
  csv: 'CSV',
  ndjson: 'NDJSON',
  parquet: 'Parquet',
  arrow: 'Arrow',
} as const;

export type ExportKind = keyof typeof EXPORTS;

/** Asks for a query's result as a file and hands it to the browser. */
export async function exportFile(
  csl: string,
  kind: ExportKind,
  name: string,
  purpose: string,
): Promise<void> {
  const headers = purpose ? { 'x-gatehouse-purpose': headerText(purpose) } : {};
  const response = await send(`/admin/v1/query/export?format=${kind}`, {
    method: 'POST',
    body: { db: 'gatehouse', csl },
    headers,
  });
  download(await response.blob(), `${name}.${kind}`);
}

/** Hands a file to the browser. */
export function download(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
