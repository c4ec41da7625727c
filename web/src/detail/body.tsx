/** Request or response as it is recorded: head and body. */
import { useState } from 'preact/hooks';
import { asFailure, type Failure } from '../api/failure';
import { type RawBody, readRaw } from '../api/ledger';
import { bytes } from '../format';
import { useLoad } from '../load';
import { line, pretty } from '../text';
import { Button } from '../ui/button';
import { Copy } from '../ui/copy';
import { Empty, Failed } from '../ui/empty';
import { HostileText } from '../ui/hostile';
import { Loading, Panel } from '../ui/panel';
import { type Content, type Interaction, readContent } from './interaction';
import { Reveal } from './reveal';

export type Side = 'request' | 'response';

interface Props {
  interaction: Interaction;
  side: Side;
}

export function BodyView({ interaction, side }: Props) {
  return (
    <Reveal id={interaction.CorrelationId}>
      {(purpose) => <Loaded interaction={interaction} side={side} purpose={purpose} />}
    </Reveal>
  );
}

/** Header lines; a header may come several times. */
export function headerLines(headers: Record<string, unknown> | null): string[] {
  return Object.entries(headers ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${line(String(one))}`),
  );
}

function Loaded({ interaction, side, purpose }: Props & { purpose: string }) {
  const id = interaction.CorrelationId;
  const found = useLoad(id, (signal) => readContent(id, purpose, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const isRequest = side === 'request';
  return (
    <div class="stack">
      <Head interaction={interaction} side={side} content={found.value} />
      <Body
        side={side}
        text={isRequest ? found.value.RequestBody : found.value.ResponseBody}
        size={isRequest ? interaction.RequestBodyBytes : interaction.ResponseBodyBytes}
      />
      <AsItPassed interaction={interaction} side={side} purpose={purpose} />
    </div>
  );
}

/** The bytes that the ledger holds: of a stream, its events before they were joined. */
function AsItPassed({ interaction, side, purpose }: Props & { purpose: string }) {
  const [raw, setRaw] = useState<RawBody | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const read = async () => {
    setFailure(null);
    try {
      const { CorrelationId, LedgerSequence } = interaction;
      setRaw(await readRaw(CorrelationId, LedgerSequence, side, purpose));
    } catch (error) {
      setFailure(asFailure(error));
    }
  };
  return (
    <Panel
      title="As it passed"
      note={raw?.isCut ? 'the first 16 MiB' : 'the bytes that the ledger holds'}
      actions={
        raw ? (
          <Copy text={raw.text} name={`${side} as it passed`} />
        ) : (
          <Button onClick={read}>Read the bytes</Button>
        )
      }
    >
      {failure && <Failed failure={failure} again={read} />}
      {raw && (
        <div class="panel-body">
          <HostileText label={`${side} as it passed`} text={raw.text || '(nothing)'} />
        </div>
      )}
    </Panel>
  );
}

function Head({ interaction, side, content }: Props & { content: Content }) {
  const isRequest = side === 'request';
  const first = isRequest
    ? `${interaction.Method} ${interaction.Url} ${interaction.ClientProtocol}`
    : `${interaction.ClientProtocol} ${interaction.ResponseCode}`;
  const headers = isRequest ? content.RequestHeaders : content.ResponseHeaders;
  return (
    <Panel title="Head" note="secrets are not on record">
      <div class="panel-body">
        <HostileText label="Head" text={[first, ...headerLines(headers)].join('\n')} />
      </div>
    </Panel>
  );
}

function Body({ side, text, size }: { side: Side; text: string; size: number }) {
  const isMissing = size > 0 && text === '';
  return (
    <Panel
      title="Body"
      note={bytes(size)}
      actions={text && <Copy text={text} name={`${side} body`} />}
    >
      {isMissing && <Empty kind="capture-off" />}
      {size === 0 && <p class="panel-body muted">None was sent.</p>}
      {text && (
        <div class="panel-body">
          <HostileText label={`${side} body`} text={pretty(text)} />
        </div>
      )}
    </Panel>
  );
}
