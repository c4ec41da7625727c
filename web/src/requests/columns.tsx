/** Columns of the list of requests. None holds content. */
import type { ComponentChildren } from 'preact';
import * as format from '../format';
import { line } from '../text';
import { Outcome, Status } from '../ui/badge';

/** A row of the list. */
export interface Request {
  TimeGenerated: string;
  CorrelationId: string;
  LedgerSequence: number;
  ResponseCode: number;
  Outcome: string;
  Kind: string;
  OperationId: string;
  Method: string;
  DeploymentName: string;
  ModelName: string;
  ApimSubscriptionId: string;
  ProductId: string;
  UserId: string;
  CallerIpAddress: string;
  BackendId: string;
  Attempts: number;
  TotalTokens: number | null;
  PromptTokens: number | null;
  CompletionTokens: number | null;
  CostUsd: string | null;
  TotalTime: number | null;
  TimeToFirstByte: number | null;
  GatewayOverhead: number | null;
  IsStreamCompletion: boolean;
  UserAgent: string;
}

export interface RequestColumn {
  id: keyof Request;
  name: string;
  width: string;
  isNumber?: boolean;
  isFirst?: boolean;
  show: (row: Request) => ComponentChildren;
}

const text = (id: keyof Request, name: string, width: string, isFirst = false): RequestColumn => ({
  id,
  name,
  width,
  isFirst,
  show: (row) => line(String(row[id] ?? '')),
});

const figure = (
  id: keyof Request,
  name: string,
  show: (value: unknown) => string,
  isFirst = false,
): RequestColumn => ({
  id,
  name,
  width: '100px',
  isNumber: true,
  isFirst,
  show: (row) => show(row[id]),
});

export const COLUMNS: readonly RequestColumn[] = [
  {
    ...text('TimeGenerated', 'Time', '194px', true),
    show: (row) => <span class="mono">{format.time(row.TimeGenerated)}</span>,
  },
  {
    ...text('ResponseCode', 'Status', '74px', true),
    show: (row) => <Status code={row.ResponseCode} />,
  },
  text('Kind', 'Kind', '120px', true),
  text('OperationId', 'Operation', 'minmax(190px, 1fr)', true),
  text('DeploymentName', 'Deployment', 'minmax(140px, 0.7fr)', true),
  text('ModelName', 'Model', '160px'),
  text('ApimSubscriptionId', 'Subscription', 'minmax(110px, 0.5fr)', true),
  text('ProductId', 'Product', '110px'),
  text('UserId', 'User', '140px'),
  text('CallerIpAddress', 'Caller', '130px', true),
  text('BackendId', 'Backend', '110px'),
  figure('Attempts', 'Attempts', format.number),
  figure('TotalTokens', 'Tokens', format.number, true),
  figure('PromptTokens', 'Prompt', format.number),
  figure('CompletionTokens', 'Completion', format.number),
  figure('CostUsd', 'Cost', format.money, true),
  figure('TotalTime', 'Duration', format.duration, true),
  figure('TimeToFirstByte', 'First byte', format.duration),
  figure('GatewayOverhead', 'Overhead', format.duration),
  {
    ...text('IsStreamCompletion', 'Streamed', '90px'),
    show: (row) => (row.IsStreamCompletion ? 'yes' : 'no'),
  },
  {
    ...text('Outcome', 'Outcome', '124px', true),
    show: (row) => <Outcome name={row.Outcome} />,
  },
  text('UserAgent', 'User agent', '220px'),
];

/** Every column that the list asks for: whatever is shown, bodies are not among them. */
export const PROJECTION = [
  ...COLUMNS.map((column) => column.id),
  'CorrelationId',
  'Method',
  'LedgerSequence',
].join(', ');

/** The columns that the URL names, or those shown at first. */
export function chosenColumns(param: string): RequestColumn[] {
  const names = new Set(param.split(','));
  const chosen = COLUMNS.filter((column) => names.has(column.id));
  return chosen.length > 0 ? chosen : COLUMNS.filter((column) => column.isFirst);
}
