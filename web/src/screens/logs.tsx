/** KQL over the record. */
import { useEffect, useRef, useState } from 'preact/hooks';
import '../style/logs.css';
import { type Answer, query } from '../api/kusto';
import { format as layOut } from '../api/language';
import { PurposeForm } from '../detail/reveal';
import * as format from '../format';
import { useLoad } from '../load';
import { param, setParams } from '../location';
import { assistance } from '../logs/assistance';
import { hasChart, ResultChart } from '../logs/chart';
import { Editor, type EditorHandle } from '../logs/editor';
import { ResultTable } from '../logs/result';
import { BUILT_IN } from '../logs/saved';
import { Shelf } from '../logs/shelf';
import { Simple } from '../logs/simple';
import { Button } from '../ui/button';
import { Empty, Failed } from '../ui/empty';
import { ExportMenu } from '../ui/export-menu';
import { Head, Loading } from '../ui/panel';
import { Tabs } from '../ui/tabs';

const FIRST = BUILT_IN[0]?.text ?? '';
const VIEWS = [
  { id: 'chart', name: 'Chart' },
  { id: 'rows', name: 'Rows' },
] as const;

export default function Logs() {
  const editor = useRef<EditorHandle | null>(null);
  const [first] = useState(param('q') || FIRST);
  const [wanted, setWanted] = useState({ text: param('q'), round: 0 });
  const isSimple = param('mode') === 'simple';
  const inUrl = param('q');
  // Back and forward, and links from other screens.
  useEffect(() => {
    if (inUrl && inUrl !== wanted.text) {
      editor.current?.setText(inUrl);
      setWanted((before) => ({ text: inUrl, round: before.round + 1 }));
    }
  }, [inUrl, wanted.text]);
  const run = (text: string) => {
    setWanted((before) => ({ text, round: before.round + 1 }));
    setParams({ q: text, view: null }, { replace: false });
  };
  const runEditor = () => run(editor.current?.wanted() ?? '');
  const tidyUp = async () => {
    const before = editor.current?.text() ?? '';
    const after = (await layOut(before)).trimEnd();
    // Whoever went on typing meanwhile keeps what was typed.
    if (editor.current?.text() === before) editor.current.setText(after);
    editor.current?.focus();
  };
  const pick = (text: string) => {
    editor.current?.setText(text);
    setParams({ mode: null, wish: null });
    run(text);
  };
  return (
    <div class="fill logs">
      <Head title="Logs">
        <Shelf onPick={(saved) => pick(saved.text)} current={() => editor.current?.text() ?? ''} />
        <Button
          aria-pressed={isSimple}
          onClick={() => setParams({ mode: isSimple ? null : 'simple', wish: null })}
        >
          Simple mode
        </Button>
        <Button onClick={tidyUp}>Format</Button>
        <Button look="main" icon="play" title="Ctrl+Enter" onClick={runEditor}>
          Run
        </Button>
      </Head>
      {isSimple && (
        <Simple
          onRun={(kql) => {
            editor.current?.setText(kql);
            run(kql);
          }}
        />
      )}
      <Editor text={first} handle={editor} onRun={runEditor} assistance={assistance} />
      {wanted.text && <Result key={wanted.round} text={wanted.text} />}
    </div>
  );
}

function Result({ text }: { text: string }) {
  const [purpose, setPurpose] = useState('');
  const found = useLoad(`${purpose}\n${text}`, async (signal) => {
    const began = performance.now();
    const answer = await query(text, { signal, purpose });
    return { answer, milliseconds: performance.now() - began };
  });
  const { failure } = found;
  if (failure?.kind === 'no-permission' && /purpose/.test(failure.message) && !purpose) {
    return (
      <PurposeForm onState={setPurpose} note="This query reads prompts, answers or headers." />
    );
  }
  if (failure) return <Failed failure={failure} again={found.again} />;
  if (!found.value) return <Loading />;
  return <Shown {...found.value} text={text} purpose={purpose} />;
}

interface ShownProps {
  answer: Answer;
  milliseconds: number;
  text: string;
  purpose: string;
}

function Shown({ answer, milliseconds, text, purpose }: ShownProps) {
  const count = answer.tables.reduce((sum, table) => sum + table.rows.length, 0);
  return (
    <>
      <div class="result-note">
        <p class="muted" role="status">
          {format.counted(count, 'row')} in {format.duration(Math.round(milliseconds))}
          {answer.truncated && <strong class="tone-warn"> {answer.truncated}</strong>}
        </p>
        {count > 0 && <ExportMenu name="result" csl={text} purpose={purpose} />}
      </div>
      {count === 0 ? (
        <Empty kind="no-traffic" text="The query answers no rows." />
      ) : (
        <Views answer={answer} />
      )}
    </>
  );
}

function Views({ answer }: { answer: Answer }) {
  if (!hasChart(answer)) return <Rows answer={answer} />;
  return (
    <Tabs tabs={VIEWS} label="Views of the result" name="view">
      {(view) =>
        view === 'rows' ? (
          <div class="fixed">
            <Rows answer={answer} />
          </div>
        ) : (
          <div class="panel">
            <ResultChart answer={answer} />
          </div>
        )
      }
    </Tabs>
  );
}

const Rows = ({ answer }: { answer: Answer }) => (
  <>
    {answer.tables.map((table, at) => (
      <ResultTable key={at} table={table} />
    ))}
  </>
);
