/** The frame around every screen: navigation, time range, preferences, session. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { readMe } from './api/admin';
import { asFailure, type Failure } from './api/failure';
import { zoneName } from './format';
import { useLoad } from './load';
import { address, path, place } from './location';
import { THEMES, type Theme, theme, zone } from './preferences';
import { SCREENS, type Screen, screenAt } from './screens';
import { isSignedIn, signOut } from './session';
import { SignIn } from './sign-in';
import { line } from './text';
import { Button } from './ui/button';
import { Empty, Failed } from './ui/empty';
import { Icon } from './ui/icon';
import { Loading } from './ui/panel';
import { RangePicker } from './ui/range';

export function App() {
  return isSignedIn.value ? <Shell /> : <SignIn />;
}

function Shell() {
  const found = screenAt(path.value);
  const [isOpen, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const screenPath = path.value;
  useEffect(() => {
    document.title = `${found?.screen.name ?? 'Not found'} · Gatehouse`;
    setOpen(false);
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [screenPath]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <Button
          icon="menu"
          look="quiet"
          class="button button-quiet menu-button"
          aria-label="Navigation"
          aria-expanded={isOpen}
          aria-controls="navigation"
          onClick={() => setOpen(!isOpen)}
        />
        <a class="brand" href="/">
          <img src="/favicon.svg" alt="" width="22" height="22" />
          Gatehouse
        </a>
        <div class="top-tools">
          {found?.screen.hasRange && <RangePicker />}
          <Preferences />
        </div>
      </header>
      <Navigation isOpen={isOpen} current={path.value} />
      <main id="main" tabIndex={-1} ref={main}>
        {found ? (
          <Outlet key={found.screen.path} screen={found.screen} id={found.id} />
        ) : (
          <NoScreen />
        )}
      </main>
    </div>
  );
}

/** The navigation beside it leads to those that there are. */
const NoScreen = () => (
  <Empty
    kind="failed"
    text={`There is no screen at ${line(path.value)}. The navigation lists those that there are.`}
  >
    <a class="button" href="/">
      Overview
    </a>
  </Empty>
);

/** The parameters that go along from screen to screen: the time range. */
function rangeParams(): Record<string, string | null> {
  const { params } = place.value;
  return { last: params.get('last'), from: params.get('from'), to: params.get('to') };
}

function Navigation({ isOpen, current }: { isOpen: boolean; current: string }) {
  const isAt = (at: string) => (at === '/' ? current === '/' : `${current}/`.startsWith(`${at}/`));
  return (
    <nav id="navigation" aria-label="Screens" class={isOpen ? 'nav is-open' : 'nav'}>
      <ul>
        {SCREENS.map((screen) => (
          <li key={screen.path}>
            <a
              href={address(screen.path, screen.hasRange ? rangeParams() : {})}
              aria-current={isAt(screen.path) ? 'page' : undefined}
            >
              <Icon name={screen.icon} />
              {screen.name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const THEME_NAMES: Record<Theme, string> = {
  auto: 'System colours',
  light: 'Light',
  dark: 'Dark',
  contrast: 'High contrast',
};

function Preferences() {
  const isUtc = zone.value === 'utc';
  return (
    <>
      <Button
        look="quiet"
        aria-label={`Times in ${zoneName()}: switch to ${isUtc ? 'local time' : 'UTC'}`}
        title={isUtc ? 'Switch to local time' : 'Switch to UTC'}
        onClick={() => {
          zone.value = isUtc ? 'local' : 'utc';
        }}
      >
        {zoneName()}
      </Button>
      <label class="visually-hidden" for="theme">
        Colours
      </label>
      <select
        id="theme"
        class="theme"
        value={theme.value}
        onChange={(event) => {
          theme.value = event.currentTarget.value as Theme;
        }}
      >
        {THEMES.map((name) => (
          <option key={name} value={name}>
            {THEME_NAMES[name]}
          </option>
        ))}
      </select>
      <SignedIn />
    </>
  );
}

/** Who is signed in, and the way out. */
function SignedIn() {
  const me = useLoad('me', readMe);
  const name = me.value ? line(me.value.name || me.value.id) : '';
  return (
    <Button
      icon="out"
      look="quiet"
      aria-label={name ? `Sign out ${name}` : 'Sign out'}
      title={
        name ? `${name}: ${me.value?.roles.join(', ').replaceAll('_', ' ')}. Sign out` : 'Sign out'
      }
      onClick={() => signOut()}
    />
  );
}

/** Loads the code of a screen when it is first opened. */
function Outlet({ screen, id }: { screen: Screen; id: string }) {
  const [View, setView] = useState<ComponentType<{ id: string }> | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  useEffect(() => {
    screen.load().then(
      (module) => setView(() => module.default),
      (error) => setFailure(asFailure(error)),
    );
  }, [screen]);
  if (failure) return <Failed failure={failure} again={() => window.location.reload()} />;
  return View ? <View id={id} /> : <Loading />;
}
