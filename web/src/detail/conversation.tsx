/** What was said, part by part. */
import { useMemo } from 'preact/hooks';
import { useLoad } from '../load';
import { pretty } from '../text';
import { Badge } from '../ui/badge';
import { Empty, Failed } from '../ui/empty';
import { HostileText } from '../ui/hostile';
import { Loading } from '../ui/panel';
import { type Interaction, type Message, readContent, readMessages } from './interaction';
import { Media, mediaWithin, mediumIn } from './media';

interface Props {
  interaction: Interaction;
  purpose: string;
}

export function Conversation({ interaction, purpose }: Props) {
  const id = interaction.CorrelationId;
  const found = useLoad(id, (signal) =>
    Promise.all([readMessages(id, purpose, signal), readContent(id, purpose, signal)]),
  );
  if (found.failure) return <Failed failure={found.failure} again={found.again} />;
  if (!found.value) return <Loading />;
  const [messages, bodies] = found.value;
  const isCovered = interaction.RequestBodyBytes > 0 && bodies.RequestBody === '';
  if (messages.length === 0 && isCovered) return <Empty kind="capture-off" />;
  return (
    <div class="conversation">
      {messages.length === 0 && (
        <p class="muted">
          This kind of call says nothing in words. Its bodies stand under Request and Response.
        </p>
      )}
      {messages.map((message) => (
        <Part key={message.SequenceNumber} message={message} />
      ))}
      <Attached title="sent" body={bodies.RequestBody} />
      <Attached title="answered" body={bodies.ResponseBody} />
    </div>
  );
}

function Part({ message }: { message: Message }) {
  const who = message.Role || (message.Direction === 'prompt' ? 'prompt' : 'answer');
  const medium = useMemo(() => mediumIn(message.Content), [message.Content]);
  const isCode = message.ContentType.startsWith('tool_');
  return (
    <article class={`part part-${message.Direction}`} aria-label={`${who}, ${message.ContentType}`}>
      <header>
        <strong>{who}</strong>
        {message.Name && <code>{message.Name}</code>}
        {message.ContentType !== 'text' && (
          <Badge tone="quiet" text={message.ContentType.replaceAll('_', ' ')} />
        )}
        {message.ChoiceIndex > 0 && (
          <Badge tone="quiet" text={`choice ${message.ChoiceIndex + 1}`} />
        )}
      </header>
      {medium ? (
        <Media medium={medium} name={message.ContentType} />
      ) : (
        <HostileText
          label={`${who}, ${message.ContentType}`}
          text={isCode ? pretty(message.Content) : message.Content}
        />
      )}
    </article>
  );
}

/** Images and audio within a body that the parts name only by reference. */
function Attached({ title, body }: { title: string; body: string }) {
  const media = useMemo(() => mediaWithin(body), [body]);
  if (media.length === 0) return null;
  return (
    <div class="attached">
      {media.map((medium, at) => (
        <Media key={at} medium={medium} name={`${title} ${at + 1}`} />
      ))}
    </div>
  );
}
