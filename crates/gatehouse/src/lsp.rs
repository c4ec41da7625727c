//! `gatehouse kql lsp`: the language server of KQL, over standard input and output.
//!
//! It knows the language and the tables of this version; it asks no gateway and reads no row.

use std::collections::BTreeMap;

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _,
    PublishDiagnostics,
};
use lsp_types::request::{Completion, Formatting, HoverRequest, Request as _};
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionOptions, CompletionParams, CompletionTextEdit,
    Diagnostic, DiagnosticSeverity, DidChangeTextDocumentParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, DocumentFormattingParams, Hover, HoverContents, HoverParams,
    HoverProviderCapability, MarkupContent, MarkupKind, NumberOrString, OneOf, Position,
    PublishDiagnosticsParams, Range, ServerCapabilities, TextDocumentPositionParams,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextEdit, Uri,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use kql::{Catalogue, CompletionKind, Options, Severity, Span};

/// Most documents held open at once; of further ones nothing is known.
const DOCUMENTS_MAX: usize = 256;

/// Serves one editor until it says goodbye.
pub(crate) fn run() -> anyhow::Result<()> {
    let (connection, threads) = Connection::stdio();
    serve(&connection)?;
    drop(connection);
    threads.join()?;
    Ok(())
}

fn serve(connection: &Connection) -> anyhow::Result<()> {
    connection.initialize(serde_json::to_value(capabilities())?)?;
    let mut server = Server::new();
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request)? {
                    break;
                }
                connection.sender.send(Message::Response(server.answer(request)))?;
            }
            Message::Notification(note) => {
                if let Some(findings) = server.hear(note) {
                    let method = PublishDiagnostics::METHOD.to_owned();
                    let told = Notification::new(method, findings);
                    connection.sender.send(Message::Notification(told))?;
                }
            }
            Message::Response(_) => {}
        }
    }
    Ok(())
}

fn capabilities() -> ServerCapabilities {
    let starts = ["|", " ", "(", "."].map(str::to_owned).to_vec();
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(starts),
            ..CompletionOptions::default()
        }),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    }
}

/// The documents that are open.
struct Server {
    catalogue: Box<dyn Catalogue>,
    documents: BTreeMap<String, String>,
}

impl Server {
    fn new() -> Self {
        Self { catalogue: Box::new(query::catalogue()), documents: BTreeMap::new() }
    }

    fn answer(&self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let answered = match method.as_str() {
            Completion::METHOD => read(params).map(|params| told(self.complete(&params))),
            HoverRequest::METHOD => read(params).map(|params| told(self.hover(&params))),
            Formatting::METHOD => read(params).map(|params| told(self.format(&params))),
            _ => {
                let text = format!("{method} is not served here");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, text);
            }
        };
        match answered {
            Ok(result) => Response::new_ok(id, result),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error.to_string()),
        }
    }

    /// Takes what the editor says of its documents; what was found in the one that changed.
    fn hear(&mut self, note: Notification) -> Option<PublishDiagnosticsParams> {
        let (uri, text) = match note.method.as_str() {
            DidOpenTextDocument::METHOD => {
                let opened: DidOpenTextDocumentParams = read(note.params).ok()?;
                (opened.text_document.uri, opened.text_document.text)
            }
            DidChangeTextDocument::METHOD => {
                let changed: DidChangeTextDocumentParams = read(note.params).ok()?;
                (changed.text_document.uri, changed.content_changes.into_iter().next_back()?.text)
            }
            DidCloseTextDocument::METHOD => {
                let closed: DidCloseTextDocumentParams = read(note.params).ok()?;
                self.documents.remove(closed.text_document.uri.as_str());
                return Some(findings(closed.text_document.uri, Vec::new()));
            }
            _ => return None,
        };
        let is_known = self.documents.contains_key(uri.as_str());
        if !is_known && self.documents.len() >= DOCUMENTS_MAX {
            return None;
        }
        let found = self.check(&text);
        self.documents.insert(uri.as_str().to_owned(), text);
        Some(findings(uri, found))
    }

    fn check(&self, text: &str) -> Vec<Diagnostic> {
        if text.trim().is_empty() {
            return Vec::new();
        }
        let failure = kql::compile(text, &*self.catalogue, &Options::default()).err();
        let found = failure.as_ref().map_or(&[][..], |failure| failure.diagnostics());
        let diagnostic = |finding: &kql::Diagnostic| Diagnostic {
            range: range(text, finding.span),
            severity: Some(match finding.severity {
                Severity::Error => DiagnosticSeverity::ERROR,
                Severity::Warning => DiagnosticSeverity::WARNING,
            }),
            code: Some(NumberOrString::String(finding.code.to_owned())),
            source: Some("kql".to_owned()),
            message: match &finding.fix {
                Some(fix) => format!("{}: {fix}", finding.message),
                None => finding.message.clone(),
            },
            ..Diagnostic::default()
        };
        found.iter().map(diagnostic).collect()
    }

    fn complete(&self, params: &CompletionParams) -> Option<Vec<CompletionItem>> {
        let (text, at) = self.place(&params.text_document_position)?;
        let found = kql::complete(text, at, &*self.catalogue);
        let range = range(text, found.replace);
        let item = |(order, item): (usize, kql::Completion)| CompletionItem {
            kind: Some(kind(item.kind)),
            detail: Some(item.detail),
            // The likeliest come first, whatever their letters.
            sort_text: Some(format!("{order:04}")),
            filter_text: Some(item.label.clone()),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(range, item.insert))),
            label: item.label,
            ..CompletionItem::default()
        };
        Some(found.items.into_iter().enumerate().map(item).collect())
    }

    fn hover(&self, params: &HoverParams) -> Option<Hover> {
        let (text, at) = self.place(&params.text_document_position_params)?;
        let found = kql::hover(text, at, &*self.catalogue)?;
        let value = MarkupContent { kind: MarkupKind::Markdown, value: found.text };
        let range = Some(range(text, found.span));
        Some(Hover { contents: HoverContents::Markup(value), range })
    }

    fn format(&self, params: &DocumentFormattingParams) -> Option<Vec<TextEdit>> {
        let text = self.documents.get(params.text_document.uri.as_str())?;
        let laid_out = kql::format(text);
        if laid_out == *text {
            return Some(Vec::new());
        }
        let all = Range::new(Position::new(0, 0), position(text, text.len()));
        Some(vec![TextEdit::new(all, laid_out)])
    }

    fn place(&self, at: &TextDocumentPositionParams) -> Option<(&str, usize)> {
        let text = self.documents.get(at.text_document.uri.as_str())?;
        Some((text, byte_of(text, at.position)))
    }
}

fn read<T: DeserializeOwned>(params: serde_json::Value) -> serde_json::Result<T> {
    serde_json::from_value(params)
}

fn told(answer: impl Serialize) -> serde_json::Value {
    serde_json::to_value(answer).unwrap_or_default()
}

fn findings(uri: Uri, diagnostics: Vec<Diagnostic>) -> PublishDiagnosticsParams {
    PublishDiagnosticsParams { uri, diagnostics, version: None }
}

const fn kind(kind: CompletionKind) -> CompletionItemKind {
    match kind {
        CompletionKind::Table => CompletionItemKind::CLASS,
        CompletionKind::Column => CompletionItemKind::FIELD,
        CompletionKind::Variable => CompletionItemKind::VARIABLE,
        CompletionKind::Operator => CompletionItemKind::OPERATOR,
        CompletionKind::Function | CompletionKind::Aggregate => CompletionItemKind::FUNCTION,
        CompletionKind::Keyword => CompletionItemKind::KEYWORD,
    }
}

fn range(text: &str, span: Span) -> Range {
    Range::new(position(text, span.start as usize), position(text, span.end as usize))
}

/// Lines, and UTF-16 units in the line, as the protocol counts where nothing else was agreed.
fn position(text: &str, byte: usize) -> Position {
    let head = text.get(..byte).unwrap_or(text);
    let line_start = head.rfind('\n').map_or(0, |at| at + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let line = head.bytes().filter(|byte| *byte == b'\n').count();
    Position::new(count(line), count(head[line_start..].encode_utf16().count()))
}

fn byte_of(text: &str, place: Position) -> usize {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(place.line as usize).map(str::len).sum();
    let line = lines.next().unwrap_or("").trim_end_matches(['\n', '\r']);
    let mut left = place.character as usize;
    for (at, character) in line.char_indices() {
        if left < character.len_utf16() {
            return before + at;
        }
        left -= character.len_utf16();
    }
    before + line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_utf16_units() {
        let text = "Messages\n| where Content has 'ä😀' | take 1\n";
        let at = text.find("| take").expect("there");
        let place = position(text, at);
        assert_eq!((place.line, place.character), (1, 26));
        assert_eq!(byte_of(text, place), at);
        assert_eq!(byte_of(text, Position::new(0, 99)), 8);
        assert_eq!(byte_of(text, Position::new(9, 0)), text.len());
    }
}
