/** The way in. The token is tried before it is kept. */
import { useState } from 'preact/hooks';
import { asFailure } from './api/failure';
import { send } from './api/http';
import { address, place } from './location';
import { keepToken, parting, providers } from './session';
import { Button } from './ui/button';
import { Input } from './ui/field';

export function SignIn() {
  const [text, setText] = useState('');
  const [trouble, setTrouble] = useState('');
  const [isTrying, setTrying] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setTrying(true);
    setTrouble('');
    const token = text.trim();
    try {
      await send('/admin/v1/me', { token });
      keepToken(token);
    } catch (error) {
      const failure = asFailure(error);
      setTrouble(
        failure.kind === 'signed-out' ? 'That token opens nothing here.' : failure.message,
      );
      setTrying(false);
    }
  };
  return (
    <main class="sign-in">
      <form class="panel" onSubmit={submit}>
        <h1>
          <img src="/favicon.svg" alt="" width="30" height="30" />
          Gatehouse
        </h1>
        <p class="muted">The audited way in to your organisation's models.</p>
        {parting.value && <p role="status">{parting.value}</p>}
        <Providers />
        <Input
          label="Token"
          type="password"
          autocomplete="off"
          required
          value={text}
          onChange={setText}
          hint={
            <>
              The admin token, which lies in <code>admin-token</code> in the data folder, or an
              access token of your identity provider. It stays in this tab.
            </>
          }
        />
        {trouble && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <Button type="submit" look="main" disabled={isTrying || !text.trim()}>
          {isTrying ? 'Signing in' : 'Sign in'}
        </Button>
      </form>
    </main>
  );
}

/** A way to each provider; the browser comes back to where it was. */
function Providers() {
  const { path, params } = place.value;
  const back = params.size > 0 ? `${path}?${params}` : path;
  return (
    <>
      {providers.value.map((provider) => (
        <a
          key={provider}
          class="button"
          target="_self"
          href={address('/auth/sign-in', { provider, return_to: back })}
        >
          Sign in with {provider}
        </a>
      ))}
    </>
  );
}
