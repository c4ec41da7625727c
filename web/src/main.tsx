import { render } from 'preact';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import { App } from './app';
import { listen, path } from './location';
import { screenAt } from './screens';
import { findSession } from './session';

listen();
// The code of the screen comes while the session is asked for; what fails here is told by the screen.
screenAt(path.value)
  ?.screen.load()
  .catch(() => undefined);
const root = document.getElementById('app');
// Without an answer there is the form, which says what is wrong.
findSession()
  .catch(() => undefined)
  .then(() => root && render(<App />, root));
