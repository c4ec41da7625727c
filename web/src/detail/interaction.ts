/** One interaction: what the tables say of it, without its content. */
import { Failure } from '../api/failure';
import { rows as queryRows } from '../api/kusto';
import { literal } from '../kql/text';

export interface ErrorDetail {
  source: string;
  reason: string;
  message: string;
  scope: string;
  section: string;
  elapsed?: number;
}

/** An attempt at a backend, of a call that took several. */
export interface Attempt {
  Attempt: number;
  BackendId: string;
  /** Milliseconds from the first byte in. */
  SentAfter: number;
  /** Null if it was not answered. */
  Status: number | null;
}

/** The columns of `Interactions` but for those with content. */
export interface Interaction {
  TimeGenerated: string;
  CorrelationId: string;
  ClosedAt: string;
  Outcome: string;
  OperationId: string;
  SurfaceOperationId: string;
  Surface: string;
  Kind: string;
  Subkind: string;
  ApiVersion: string;
  Method: string;
  Url: string;
  ClientProtocol: string;
  ClientTlsVersion: string;
  CallerIpAddress: string;
  PeerIpAddress: string;
  PeerPort: number;
  ForwardedFor: string;
  UserAgent: string;
  Region: string;
  ProductId: string;
  ApimSubscriptionId: string;
  UserId: string;
  CallerApplicationId: string;
  CallerGroups: string[] | null;
  RequestBodyBytes: number;
  RequestSize: number;
  ResponseCode: number;
  ResponseBodyBytes: number;
  ResponseSize: number;
  BackendId: string;
  BackendMethod: string;
  BackendProtocol: string;
  BackendUrl: string;
  BackendRequestChanges: string;
  BackendResponseCode: number | null;
  Attempts: number;
  BackendAttempts: Attempt[] | null;
  TotalTime: number | null;
  BackendTime: number | null;
  ClientTime: number | null;
  TimeToFirstByte: number | null;
  /** Of a stream; null in rows of older versions. */
  TimeToFirstToken: number | null;
  GatewayOverhead: number | null;
  ChunkGapMax: number | null;
  Chunks: number | null;
  IsRequestSuccess: boolean;
  IsStreamCompletion: boolean;
  StreamOutcome: string;
  LastErrorReason: string;
  LastErrorMessage: string;
  Errors: ErrorDetail[] | null;
  RequestId: string;
  ModelName: string;
  DeploymentName: string;
  PromptTokens: number | null;
  CompletionTokens: number | null;
  TotalTokens: number | null;
  CachedTokens: number | null;
  ReasoningTokens: number | null;
  AudioSeconds: number | null;
  Images: number | null;
  UsageSource: string;
  CostUsd: string | null;
  PriceVersion: string;
  FinishReason: string;
  ContentFilter: unknown;
  ThreadId: string;
  RunId: string;
  AssistantId: string;
  IsContentErased: boolean;
  LedgerSequence: number;
}

export interface Message {
  SequenceNumber: number;
  Direction: string;
  Role: string;
  ContentType: string;
  Content: string;
  Name: string;
  ChoiceIndex: number;
}

type Headers = Record<string, unknown> | null;

/** The columns with content: who reads them says what for. */
export interface Content {
  RequestHeaders: Headers;
  RequestBody: string;
  RequestBodySha256: string;
  ResponseHeaders: Headers;
  ResponseBody: string;
  ResponseBodySha256: string;
  BackendRequestHeaders: Headers;
  BackendResponseHeaders: Headers;
}

const CONTENT = [
  'RequestHeaders',
  'RequestBody',
  'RequestBodySha256',
  'ResponseHeaders',
  'ResponseBody',
  'ResponseBodySha256',
  'BackendRequestHeaders',
  'BackendResponseHeaders',
].join(', ');

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The rows of one interaction. Its id begins with its time, which spares the search. */
function having(table: string, id: string): string {
  const at = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  const [from, to] = [at - 60_000, at + 60_000].map((time) => new Date(time).toISOString());
  return `${table}\n| where TimeGenerated between (datetime(${from}) .. datetime(${to}))\n| where CorrelationId == ${literal(id)}`;
}

/** One interaction without its content; one that is not there any more is `expired`. */
export async function readInteraction(id: string, signal: AbortSignal): Promise<Interaction> {
  if (!ID.test(id)) throw new Failure('failed', `${id} is not the id of an interaction.`);
  const csl = `${having('Interactions', id)}\n| project-away ${CONTENT}, RequestParameters`;
  const [found] = await queryRows<Interaction>(csl, { signal });
  if (found) return found;
  const [oldest] = await queryRows<{ At: string | null }>(
    'Interactions | summarize At = min(TimeGenerated)',
    { signal },
  );
  const at = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  if (oldest?.At && Date.parse(oldest.At) > at) {
    throw new Failure('expired', 'The interaction is older than what is still kept.');
  }
  throw new Failure(
    'failed',
    'No interaction has this id. A call that still runs appears when it ends.',
  );
}

export function readMessages(id: string, purpose: string, signal: AbortSignal): Promise<Message[]> {
  const columns = 'SequenceNumber, Direction, Role, ContentType, Content, Name, ChoiceIndex';
  const csl = `${having('Messages', id)}\n| sort by SequenceNumber asc\n| project ${columns}`;
  return queryRows<Message>(csl, { purpose, signal });
}

/** The content of one interaction; none if it is gone meanwhile. */
export async function readContent(
  id: string,
  purpose: string,
  signal: AbortSignal,
): Promise<Content> {
  const csl = `${having('Interactions', id)}\n| project ${CONTENT}`;
  const [found] = await queryRows<Content>(csl, { purpose, signal });
  if (!found) throw new Failure('expired', 'The interaction is no longer kept.');
  return found;
}
