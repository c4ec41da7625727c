//! Statements: `let`, `set`, `declare`, tabular expressions.

use super::Parser;
use crate::lexer::{Token, decode};
use crate::syntax::{
    Expression, ExpressionKind, Name, Parameter, Pattern, PatternCase, Pipeline, Shape, Source,
    Statement,
};
use crate::{Type, codes};

impl Parser<'_> {
    /// Statements up to the end, or to a closing brace.
    pub(super) fn statements(&mut self, closing: Option<&str>) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            while self.eat_symbol(";") {}
            if self.token() == Token::End || closing.is_some_and(|closing| self.is_symbol(closing))
            {
                return statements;
            }
            let before = self.at;
            statements.push(self.statement());
            if !self.is_symbol(";") && !self.at_end_of(closing) {
                self.unexpected();
                self.skip_to_boundary();
                if !self.is_symbol(";") && !self.at_end_of(closing) {
                    self.advance();
                }
            }
            if self.at == before {
                self.advance();
            }
        }
    }

    fn at_end_of(&self, closing: Option<&str>) -> bool {
        self.token() == Token::End || closing.is_some_and(|closing| self.is_symbol(closing))
    }

    fn statement(&mut self) -> Statement {
        let next_is_name = self.lexeme(1).token == Token::Name || self.is_symbol_at(1, "[");
        match self.text(0) {
            "let" if next_is_name => self.let_statement(),
            "set" if next_is_name => self.set_statement(),
            "declare" if self.is_word_at(1, "query_parameters") => {
                self.at += 2;
                self.expect_symbol("(");
                let parameters = self.parameters();
                self.expect_symbol(")");
                Statement::Parameters(parameters)
            }
            "declare" if self.is_word_at(1, "pattern") => self.pattern(),
            "alias" if self.is_word_at(1, "database") => self.other("alias"),
            "restrict" if self.is_word_at(1, "access") => self.other("restrict"),
            _ => Statement::Query(self.pipeline()),
        }
    }

    fn other(&mut self, what: &'static str) -> Statement {
        let start = self.span();
        while self.token() != Token::End && !self.is_symbol(";") {
            self.skip_bracket_or_token();
        }
        Statement::Other { what, span: self.since(start) }
    }

    /// Steps over one token, or over a whole bracket.
    pub(super) fn skip_bracket_or_token(&mut self) {
        let mut open = 0u32;
        loop {
            match self.token() {
                Token::End => return,
                Token::Symbol("(" | "[" | "{") => open += 1,
                Token::Symbol(")" | "]" | "}") => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
            if open == 0 {
                return;
            }
        }
    }

    /// `declare pattern name = (parameters)[path:string] { (values).['path'] = { query }; … }`.
    fn pattern(&mut self) -> Statement {
        self.at += 2;
        let name = self.name();
        let mut pattern = Pattern { parameters: Vec::new(), path: None, cases: Vec::new() };
        if !self.eat_symbol("=") {
            return Statement::Pattern { name, pattern };
        }
        self.expect_symbol("(");
        pattern.parameters = self.parameters();
        self.expect_symbol(")");
        if self.eat_symbol("[") {
            pattern.path = self.parameters().pop();
            self.expect_symbol("]");
        }
        self.expect_symbol("{");
        while self.is_symbol("(") {
            pattern.cases.push(self.pattern_case());
            while self.eat_symbol(";") {}
        }
        self.expect_symbol("}");
        Statement::Pattern { name, pattern }
    }

    fn pattern_case(&mut self) -> PatternCase {
        self.advance();
        let values = self.arguments().into_iter().map(|item| item.expression).collect();
        self.expect_symbol(")");
        let path = self.eat_symbol(".").then(|| {
            self.expect_symbol("[");
            let path = self.expression();
            self.expect_symbol("]");
            path
        });
        self.expect_symbol("=");
        self.expect_symbol("{");
        let body = self.nested(|_| Vec::new(), |parser| parser.statements(Some("}")));
        self.expect_symbol("}");
        PatternCase { values, path, body }
    }

    fn let_statement(&mut self) -> Statement {
        self.advance();
        let name = self.name();
        self.expect_symbol("=");
        let value = self.let_value();
        Statement::Let { name, value }
    }

    fn let_value(&mut self) -> Expression {
        let start = self.span();
        if self.is_word("view") && self.is_symbol_at(1, "(") && self.is_lambda(1) {
            self.advance();
            return self.lambda(start, true);
        }
        if self.is_lambda(0) {
            return self.lambda(start, false);
        }
        self.expression_or_pipeline()
    }

    /// Whether `(…) {` stands here.
    fn is_lambda(&self, from: usize) -> bool {
        if !self.is_symbol_at(from, "(") {
            return false;
        }
        let mut open = 0u32;
        for ahead in from..self.tokens.len() - self.at {
            match self.lexeme(ahead).token {
                Token::Symbol("(") => open += 1,
                Token::Symbol(")") => {
                    open -= 1;
                    if open == 0 {
                        return self.is_symbol_at(ahead + 1, "{");
                    }
                }
                Token::Symbol(";" | "|" | "{") | Token::End => return false,
                _ => {}
            }
        }
        false
    }

    fn lambda(&mut self, start: crate::Span, is_view: bool) -> Expression {
        self.expect_symbol("(");
        let parameters = self.parameters();
        self.expect_symbol(")");
        self.expect_symbol("{");
        let body = self.nested(|_| Vec::new(), |parser| parser.statements(Some("}")));
        self.expect_symbol("}");
        let span = self.since(start);
        self.node(ExpressionKind::Lambda { parameters, body, is_view }, span)
    }

    pub(super) fn parameters(&mut self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        while !self.at_boundary() {
            let name = self.name();
            self.expect_symbol(":");
            let shape = if self.eat_symbol("(") {
                let columns = self.columns(")");
                self.expect_symbol(")");
                Shape::Table(columns)
            } else {
                Shape::Scalar(self.type_name())
            };
            let default = self.eat_symbol("=").then(|| self.expression());
            parameters.push(Parameter { name, shape, default });
            if !self.eat_symbol(",") {
                break;
            }
        }
        parameters
    }

    /// `name:type, …`; `*` stands for any others.
    pub(super) fn columns(&mut self, closing: &str) -> Vec<(Name, Type)> {
        let mut columns = Vec::new();
        while !self.is_symbol(closing) && !self.at_boundary() {
            if !self.eat_symbol("*") {
                let name = self.name();
                self.expect_symbol(":");
                columns.push((name, self.type_name()));
            }
            if !self.eat_symbol(",") {
                break;
            }
        }
        columns
    }

    /// The name of a scalar type.
    pub(super) fn type_name(&mut self) -> Type {
        let quoted = self.token() == Token::Text;
        let text = if quoted { decode(self.text(0)) } else { self.text(0).to_owned() };
        let Some(found) = Type::from_name(&text) else {
            let code =
                if self.token() == Token::Name { codes::UNKNOWN_TYPE } else { codes::SYNTAX };
            self.report(code, "Expected: type name".to_owned());
            if self.token() == Token::Name {
                self.advance();
            }
            return Type::Dynamic;
        };
        self.advance();
        found
    }

    fn set_statement(&mut self) -> Statement {
        self.advance();
        let name = self.name();
        let value = self.eat_symbol("=").then(|| self.expression());
        Statement::Set { name, value }
    }

    /// A source and its operators.
    pub(super) fn pipeline(&mut self) -> Pipeline {
        let start = self.span();
        let source = if self.at_source_operator() {
            Source::Operator(Box::new(self.operator(true)))
        } else {
            Source::Expression(Box::new(self.expression()))
        };
        self.pipeline_after(source, start)
    }

    /// The operators behind a source that was already read as an expression.
    pub(super) fn pipeline_from(&mut self, source: Expression) -> Pipeline {
        let start = source.span;
        self.pipeline_after(Source::Expression(Box::new(source)), start)
    }

    fn pipeline_after(&mut self, source: Source, start: crate::Span) -> Pipeline {
        let mut operators = Vec::new();
        while self.eat_symbol("|") {
            operators.push(self.operator(false));
            if !self.at_boundary() {
                self.unexpected();
                self.skip_to_boundary();
            }
        }
        Pipeline { source, operators, span: self.since(start) }
    }

    /// What stands here belongs neither to what was read nor to something new.
    fn unexpected(&mut self) {
        let message = format!("Unexpected: {}", self.text(0));
        let fix = "an operator begins with `|`, a statement behind `;`";
        self.report_with(codes::SYNTAX, self.span(), message, Some(fix.to_owned()));
    }
}
