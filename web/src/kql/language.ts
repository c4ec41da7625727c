/** Colours of KQL in the editor. What the words mean is the server's business. */
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { tags } from '@lezer/highlight';

const OPERATORS = new Set(
  (
    'as count consume datatable distinct evaluate extend facet filter find fork getschema invoke join ' +
    'kind let limit lookup make-series materialize mv-apply mv-expand on order parse parse-kv parse-where ' +
    'partition print project project-away project-keep project-rename project-reorder range render sample ' +
    'sample-distinct scan search serialize set sort summarize take top top-hitters top-nested union where ' +
    'with by asc desc nulls first last step from to declare query_parameters'
  ).split(' '),
);
const WORDS = new Set(
  (
    'and or not in has hasprefix hassuffix contains startswith endswith like matches regex between ' +
    'has_any has_all has_cs contains_cs startswith_cs endswith_cs true false null dynamic'
  ).split(' '),
);

const kql = StreamLanguage.define({
  name: 'kql',
  languageData: {
    commentTokens: { line: '//' },
    closeBrackets: { brackets: ['(', '[', '{', '"', "'"] },
  },
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match('//')) {
      stream.skipToEnd();
      return 'comment';
    }
    if (stream.match(/^[@h]?"(?:[^"\\]|\\.)*"?|^[@h]?'(?:[^'\\]|\\.)*'?/)) return 'string';
    if (stream.match(/^\d+(?:\.\d+)?(?:ms|[smhd])?(?![\w])/)) return 'number';
    if (stream.match(/^[A-Za-z_][\w]*(?:-[a-z]+)*(?=\s*\()/)) {
      return OPERATORS.has(stream.current()) ? 'keyword' : 'function';
    }
    if (stream.match(/^[A-Za-z_$][\w]*(?:-[a-z]+)*/)) {
      const word = stream.current();
      if (OPERATORS.has(word)) return 'keyword';
      return WORDS.has(word) ? 'operatorKeyword' : 'variableName';
    }
    stream.next();
    return null;
  },
  tokenTable: { function: tags.function(tags.variableName) },
});

const style = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--series-1)', fontWeight: '600' },
  { tag: tags.operatorKeyword, color: 'var(--series-4)' },
  { tag: tags.string, color: 'var(--series-3)' },
  { tag: tags.number, color: 'var(--series-2)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.function(tags.variableName), color: 'var(--series-6)' },
]);

export const language = [kql, syntaxHighlighting(style)];
