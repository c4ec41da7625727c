/** The way in. The token is tried before it is kept. */
import { useState } from 'preact/hooks';
import { asFailure } from './api/failure';
import { send } from './api/http';
import { address, param, place, setParams } from './location';
import { hasLocalAccount, keepToken, parting, providers, signInLocally } from './session';
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
        {param('set_up') && (
          <p role="status">
            This link makes whoever signs in with it first administrator. It works once.
          </p>
        )}
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
      {hasLocalAccount.value && <LocalAccount />}
    </main>
  );
}

/** The account of this gateway's own, for hours without an identity provider. */
function LocalAccount() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [trouble, setTrouble] = useState('');
  const [isTrying, setTrying] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setTrying(true);
    setTrouble('');
    try {
      await signInLocally(name.trim(), password, param('set_up'));
      setParams({ set_up: null });
    } catch (error) {
      setTrouble(asFailure(error).message);
      setTrying(false);
    }
  };
  return (
    <form class="panel" onSubmit={submit}>
      <h2>Local account</h2>
      <Input label="Name" autocomplete="username" required value={name} onChange={setName} />
      <Input
        label="Password"
        type="password"
        autocomplete="current-password"
        required
        value={password}
        onChange={setPassword}
        hint="For hours without an identity provider. Every attempt is on record."
      />
      {trouble && (
        <p class="trouble" role="alert">
          {trouble}
        </p>
      )}
      <Button type="submit" disabled={isTrying || !name.trim() || !password}>
        {isTrying ? 'Signing in' : 'Sign in with the local account'}
      </Button>
    </form>
  );
}

/** A way to each provider; the browser comes back to where it was. */
function Providers() {
  const { path } = place.value;
  const params = new URLSearchParams(place.value.params);
  const setUp = params.get('set_up');
  params.delete('set_up');
  const back = params.size > 0 ? `${path}?${params}` : path;
  return (
    <>
      {providers.value.map((provider) => (
        <a
          key={provider}
          class="button"
          target="_self"
          href={address('/auth/sign-in', { provider, return_to: back, set_up: setUp })}
        >
          Sign in with {provider}
        </a>
      ))}
    </>
  );
}
