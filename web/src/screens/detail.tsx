/** One interaction, whole. */
import '../style/detail.css';
import { BodyView } from '../detail/body';
import { Compare } from '../detail/compare';
import { Conversation } from '../detail/conversation';
import { Erase } from '../detail/erase';
import { type Interaction, readInteraction } from '../detail/interaction';
import { Reveal } from '../detail/reveal';
import { Route } from '../detail/route';
import { Timeline } from '../detail/timeline';
import { Integrity } from '../detail/trail';
import * as format from '../format';
import { useLoad } from '../load';
import { line } from '../text';
import { Badge, Outcome, Status } from '../ui/badge';
import { Copy } from '../ui/copy';
import { Empty, Failed } from '../ui/empty';
import { Money } from '../ui/money';
import { Facts, Figure, Head, Loading } from '../ui/panel';
import { Tabs } from '../ui/tabs';

const TABS = [
  { id: 'conversation', name: 'Conversation' },
  { id: 'request', name: 'Request' },
  { id: 'response', name: 'Response' },
  { id: 'timeline', name: 'Timeline' },
  { id: 'route', name: 'Route' },
  { id: 'integrity', name: 'Integrity' },
  { id: 'compare', name: 'Compare' },
  { id: 'facts', name: 'All facts' },
] as const;

export default function Detail({ id }: { id: string }) {
  const found = useLoad(id, (signal) => readInteraction(id, signal));
  if (found.failure) {
    return (
      <>
        <Head title="Request" />
        <Failed failure={found.failure} again={found.again} />
      </>
    );
  }
  if (!found.value || found.value.CorrelationId !== id) return <Loading />;
  const interaction = found.value;
  return (
    <>
      <Head title={line(interaction.OperationId || interaction.Method)}>
        <Copy text={interaction.CorrelationId} name="id" />
        {!interaction.IsContentErased && (
          <Erase id={interaction.CorrelationId} onDone={found.again} />
        )}
        <a class="button" href="/requests">
          All requests
        </a>
      </Head>
      <Summary interaction={interaction} />
      <Tabs tabs={TABS} label="Parts of the request">
        {(tab) => <Part tab={tab} interaction={interaction} />}
      </Tabs>
    </>
  );
}

const OF_CONTENT: readonly string[] = ['conversation', 'request', 'response', 'compare'];

function Part({ tab, interaction }: { tab: string; interaction: Interaction }) {
  if (interaction.IsContentErased && OF_CONTENT.includes(tab)) return <Empty kind="erased" />;
  switch (tab) {
    case 'request':
    case 'response':
      return <BodyView key={tab} interaction={interaction} side={tab} />;
    case 'timeline':
      return <Timeline interaction={interaction} />;
    case 'route':
      return <Route interaction={interaction} />;
    case 'integrity':
      return <Integrity interaction={interaction} />;
    case 'compare':
      return <Compare interaction={interaction} />;
    case 'facts':
      return <AllFacts interaction={interaction} />;
    default:
      return (
        <Reveal id={interaction.CorrelationId}>
          {(purpose) => <Conversation interaction={interaction} purpose={purpose} />}
        </Reveal>
      );
  }
}

function Summary({ interaction }: { interaction: Interaction }) {
  return (
    <div class="stack summary">
      <p class="summary-line">
        <Status code={interaction.ResponseCode} />
        <Outcome name={interaction.Outcome} />
        {interaction.IsStreamCompletion && <Badge tone="info" text="streamed" />}
        {interaction.IsContentErased && <Badge tone="quiet" text="content erased" />}
        <span class="mono">{interaction.CorrelationId}</span>
        <span>{format.timeInZone(interaction.TimeGenerated)}</span>
      </p>
      {interaction.LastErrorMessage && (
        <p class="trouble">
          <strong>{line(interaction.LastErrorReason)}</strong> {line(interaction.LastErrorMessage)}
        </p>
      )}
      <dl class="figures">
        <Figure
          name="Deployment"
          value={line(interaction.DeploymentName || '–')}
          note={line(interaction.ModelName)}
        />
        <Figure
          name="Caller"
          value={line(interaction.ApimSubscriptionId || '–')}
          note={`${line(interaction.UserId)} ${interaction.CallerIpAddress}`}
        />
        <Figure
          name="Duration"
          value={format.duration(interaction.TotalTime)}
          note={firstNote(interaction)}
        />
        <Figure
          name="Tokens"
          value={format.number(interaction.TotalTokens)}
          note={tokenNote(interaction)}
        />
        <Figure
          name="Cost"
          value={<Money value={interaction.CostUsd} />}
          note={interaction.CostUsd === null ? 'unpriced' : `prices ${interaction.PriceVersion}`}
        />
      </dl>
    </div>
  );
}

function firstNote({ TimeToFirstByte, TimeToFirstToken }: Interaction): string {
  return TimeToFirstToken === null
    ? `first byte ${format.duration(TimeToFirstByte)}`
    : `first token ${format.duration(TimeToFirstToken)}`;
}

function tokenNote({ PromptTokens, CompletionTokens, UsageSource }: Interaction): string {
  if (PromptTokens === null && CompletionTokens === null) return 'none known';
  const parts = `${format.number(PromptTokens)} in, ${format.number(CompletionTokens)} out`;
  return UsageSource === 'estimated' ? `${parts}, estimated` : parts;
}

function AllFacts({ interaction }: { interaction: Interaction }) {
  const facts = Object.entries(interaction).map(([name, value]): [string, string] => [
    name,
    factText(name, value),
  ]);
  return (
    <div class="panel">
      <Facts facts={facts} />
    </div>
  );
}

function factText(name: string, value: unknown): string {
  if (value === null || value === '') return '';
  if (name === 'TimeGenerated' || name === 'ClosedAt') return format.timeInZone(value);
  return line(typeof value === 'object' ? JSON.stringify(value) : String(value));
}
