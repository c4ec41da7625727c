/** Request or response as it is recorded: head and body. */
import { bytes } from '../format';
import { useLoad } from '../load';
import { line, pretty } from '../text';
import { Copy } from '../ui/copy';
import { Empty, Failed } from '../ui/empty';
import { HostileText } from '../ui/hostile';
import { Loading, Panel } from '../ui/panel';
import { type Interaction, readBodies } from './interaction';
import { Reveal } from './reveal';

export type Side = 'request' | 'response';

interface Props {
  interaction: Interaction;
  side: Side;
}

export function BodyView({ interaction, side }: Props) {
  const isRequest = side === 'request';
  const size = isRequest ? interaction.RequestBodyBytes : interaction.ResponseBodyBytes;
  const headers = isRequest ? interaction.RequestHeaders : interaction.ResponseHeaders;
  const first = isRequest
    ? `${interaction.Method} ${interaction.Url} ${interaction.ClientProtocol}`
    : `${interaction.ClientProtocol} ${interaction.ResponseCode}`;
  return (
    <div class="stack">
      <Panel title="Head" note="secrets are not on record">
        <div class="panel-body">
          <HostileText label="Head" text={[first, ...headerLines(headers)].join('\n')} />
        </div>
      </Panel>
      <Panel title="Body" note={bytes(size)}>
        <div class="panel-body">
          {size > 0 ? (
            <Reveal id={interaction.CorrelationId}>
              {(purpose) => <Content interaction={interaction} side={side} purpose={purpose} />}
            </Reveal>
          ) : (
            <p class="muted">None was sent.</p>
          )}
        </div>
      </Panel>
    </div>
  );
}

/** Header lines; a header may come several times. */
export function headerLines(headers: Record<string, unknown> | null): string[] {
  return Object.entries(headers ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${line(String(one))}`),
  );
}

function Content({ interaction, side, purpose }: Props & { purpose: string }) {
  const id = interaction.CorrelationId;
  const found = useLoad(id, (signal) => readBodies(id, purpose, signal));
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const text = side === 'request' ? found.value.RequestBody : found.value.ResponseBody;
  if (text === '') return <Empty kind="capture-off" />;
  return (
    <>
      <div class="body-tools">
        <Copy text={text} name={`${side} body`} />
      </div>
      <HostileText label={`${side} body`} text={pretty(text)} />
    </>
  );
}
