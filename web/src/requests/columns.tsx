/**
 * Columns of the list of requests. None holds content. Those shown at first stand side by side in a window of
 * 1280 pixels, and fewer in that of a telephone.
 */
import type { ComponentChildren } from 'preact';
import * as format from '../format';
import { isNarrow } from '../preferences';
import { line } from '../text';
import { Outcome, Status } from '../ui/badge';
import { Money } from '../ui/money';

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
  TimeToFirstToken: number | null;
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
  /** Shown at first where the window is narrow. */
  isNarrow?: boolean;
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
  width = '100px',
  isFirst = false,
): RequestColumn => ({
  id,
  name,
  width,
  isNumber: true,
  isFirst,
  show: (row) => show(row[id]),
});

export const COLUMNS: readonly RequestColumn[] = [
  {
    ...text('TimeGenerated', 'Time', '156px', true),
    isNarrow: true,
    show: (row) => (
      <span class="mono" title={format.timeInZone(row.TimeGenerated)}>
        {format.second(row.TimeGenerated)}
      </span>
    ),
  },
  {
    ...text('ResponseCode', 'Status', '64px', true),
    isNarrow: true,
    show: (row) => <Status code={row.ResponseCode} />,
  },
  text('Kind', 'Kind', 'minmax(92px, 0.6fr)', true),
  text('OperationId', 'Operation', 'minmax(190px, 1fr)'),
  { ...text('DeploymentName', 'Deployment', 'minmax(108px, 1fr)', true), isNarrow: true },
  text('ModelName', 'Model', '160px'),
  text('ApimSubscriptionId', 'Subscription', 'minmax(104px, 0.6fr)', true),
  text('ProductId', 'Product', '110px'),
  text('UserId', 'User', '140px'),
  text('CallerIpAddress', 'Caller', 'minmax(118px, 0.4fr)', true),
  text('BackendId', 'Backend', '110px'),
  figure('Attempts', 'Attempts', format.number),
  figure('TotalTokens', 'Tokens', format.number, '72px', true),
  figure('PromptTokens', 'Prompt', format.number),
  figure('CompletionTokens', 'Completion', format.number),
  {
    ...figure('CostUsd', 'Cost', format.money, '92px', true),
    show: (row) => <Money value={row.CostUsd} />,
  },
  figure('TotalTime', 'Duration', format.duration, '84px', true),
  figure('TimeToFirstByte', 'First byte', format.duration),
  figure('TimeToFirstToken', 'First token', format.duration),
  figure('GatewayOverhead', 'Overhead', format.duration),
  {
    ...text('IsStreamCompletion', 'Streamed', '90px'),
    show: (row) => (row.IsStreamCompletion ? 'yes' : 'no'),
  },
  {
    ...text('Outcome', 'Outcome', '122px', true),
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
  if (chosen.length > 0) return chosen;
  return COLUMNS.filter((column) => (isNarrow.value ? column.isNarrow : column.isFirst));
}
