/** Why an answer did not come, by what the reader can do about it. */
export type FailureKind =
  | 'signed-out'
  | 'no-permission'
  | 'expired'
  | 'stale'
  | 'busy'
  | 'unreachable'
  | 'failed';

export class Failure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
  ) {
    super(message);
  }
}

const KINDS: Record<number, FailureKind> = {
  401: 'signed-out',
  403: 'no-permission',
  410: 'expired',
  429: 'busy',
};

interface ErrorBody {
  detail?: string;
  error?: { message?: string; '@message'?: string };
}

/** The failure that an answer with an error status tells of, in either dialect of the server. */
export async function failureOf(response: Response): Promise<Failure> {
  let message = `${response.status} ${response.statusText}`;
  try {
    const body: ErrorBody = await response.json();
    message = body.detail ?? body.error?.['@message'] ?? body.error?.message ?? message;
  } catch {
    // Not JSON: the status says it all.
  }
  return new Failure(KINDS[response.status] ?? 'failed', message);
}

export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure('failed', error instanceof Error ? error.message : String(error));
}
