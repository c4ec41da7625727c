/** Text with a button that copies it. */
import { useState } from 'preact/hooks';
import { Button } from './button';

export function Copy({ text, name }: { text: string; name: string }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <Button
      icon={isDone ? 'check' : 'copy'}
      look="quiet"
      aria-label={`Copy ${name}`}
      onClick={copy}
    />
  );
}

export function Snippet({ name, text }: { name: string; text: string }) {
  return (
    <div class="snippet">
      <div class="snippet-head">
        <span>{name}</span>
        <Copy text={text} name={name} />
      </div>
      <pre tabIndex={0} aria-label={name} role="group">
        {text}
      </pre>
    </div>
  );
}
