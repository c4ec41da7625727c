/**
 * A row of `LedgerCheckpoints` as files that are kept elsewhere: a signed note (https://c2sp.org/signed-note), as the
 * gateway writes it into `checkpoint.txt`, and the key that signed it, in PEM.
 */

export interface Checkpoint {
  TimeGenerated: string;
  LedgerId: string;
  SignedSequence: number;
  Digest: string;
  PublicKey: string;
  Signature: string;
}

const SIGNED_BY = '\u2014 ';
const ED25519 = 1;
/** What stands before the 32 bytes of an Ed25519 key (RFC 8410). */
const PUBLIC_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const fromBase64 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const toBase64 = (bytes: Iterable<number>): string => btoa(String.fromCharCode(...bytes));

const fromHex = (text: string): number[] =>
  (text.match(/../g) ?? []).map((digits) => Number.parseInt(digits, 16));

/** Kusto writes seven digits of a second, of which the record knows six. */
function micros(at: string): bigint {
  const [, whole = '', part = ''] = /^([^.Z]+)(?:\.(\d+))?Z$/.exec(at) ?? [];
  return BigInt(Date.parse(`${whole}Z`)) * 1000n + BigInt(part.padEnd(6, '0').slice(0, 6));
}

/** Browsers hash on pages that came safely: over TLS, or from this machine. */
export const canWrite = (): boolean => window.isSecureContext;

export async function note(checkpoint: Checkpoint): Promise<string> {
  const { LedgerId, SignedSequence, Digest, PublicKey, Signature } = checkpoint;
  const name = `gatehouse-ledger/${LedgerId}`;
  const digest = toBase64(fromHex(Digest));
  const text = `${name}\n${SignedSequence}\n${digest}\n${micros(checkpoint.TimeGenerated)}\n`;
  const named = new TextEncoder().encode(`${name}\n`);
  const hashed = new Uint8Array([...named, ED25519, ...fromBase64(PublicKey)]);
  const id = new Uint8Array(await crypto.subtle.digest('SHA-256', hashed)).slice(0, 4);
  return `${text}\n${SIGNED_BY}${name} ${toBase64([...id, ...fromBase64(Signature)])}\n`;
}

export const pem = (publicKey: string): string =>
  `-----BEGIN PUBLIC KEY-----\n${toBase64([...PUBLIC_PREFIX, ...fromBase64(publicKey)])}\n-----END PUBLIC KEY-----\n`;
