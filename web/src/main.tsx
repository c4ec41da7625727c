import { render } from 'preact';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import { App } from './app';
import { listen } from './location';

listen();
const root = document.getElementById('app');
if (root) render(<App />, root);
