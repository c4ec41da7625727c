import { render } from 'preact';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import { App } from './app';
import { listen } from './location';
import { findSession } from './session';

listen();
const root = document.getElementById('app');
// Without an answer there is the form, which says what is wrong.
findSession()
  .catch(() => undefined)
  .then(() => root && render(<App />, root));
