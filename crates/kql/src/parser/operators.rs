//! Tabular operators.

use super::Parser;
use crate::lexer::{Token, decode};
use crate::operators::OPERATORS;
use crate::syntax::{
    Body, Expanded, Expression, ExpressionKind, Item, Name, Operator, Ordered, PatternPart,
    Pipeline, Setting, Source,
};
use crate::{Type, codes};

impl Parser<'_> {
    /// Whether an operator stands here that begins a pipeline.
    pub(super) fn at_source_operator(&self) -> bool {
        if self.token() != Token::Name {
            return false;
        }
        let next = self.lexeme(1).token;
        match self.text(0) {
            "datatable" | "externaldata" | "external_data" | "inline_external_table" => {
                self.is_symbol_at(1, "(") || self.is_word_at(1, "kind")
            }
            "macro" => self.is_symbol_at(1, "-") && self.is_word_at(2, "expand"),
            "range" => {
                let behind_name = if self.is_symbol_at(1, "[") { 4 } else { 2 };
                self.is_word_at(behind_name, "from")
            }
            "print" | "union" | "find" | "search" | "evaluate" => match next {
                Token::End => false,
                Token::Symbol(symbol) => matches!(symbol, "(" | "[" | "*" | "-" | "+"),
                _ => true,
            },
            _ => false,
        }
    }

    /// An operator behind `|`, or one that begins a pipeline.
    pub(super) fn operator(&mut self, is_source: bool) -> Operator {
        let start = self.span();
        let name = self.operator_name();
        let settings = self.settings(&name.text);
        let body = if is_source { self.source_body(&name) } else { self.operator_body(&name) };
        Operator { name, settings, body, span: self.since(start) }
    }

    /// `project-away`: words joined by hyphens without blanks.
    fn operator_name(&mut self) -> Name {
        let mut name = self.name();
        while self.is_symbol("-")
            && self.touches_previous(0)
            && self.lexeme(1).token == Token::Name
            && self.touches_previous(1)
        {
            name.text = format!("{}-{}", name.text, self.text(1));
            self.at += 2;
            name.span = self.since(name.span);
        }
        name
    }

    /// `kind=inner hint.strategy=shuffle …`.
    fn settings(&mut self, operator: &str) -> Vec<Setting> {
        let known: &[&str] = match operator {
            "join" | "lookup" | "parse" | "parse-where" | "search" | "make-series" => {
                &["kind", "flags"]
            }
            "find" => &["withsource", "with_source", "datascope"],
            "reduce" => &["kind"],
            "scan" => &["with_match_id"],
            "graph-match" => &["cycles"],
            "graph-shortest-paths" => &["output"],
            "graph-mark-components" => &["kind", "with_component_id"],
            "datatable" | "externaldata" | "external_data" | "inline_external_table" => &["kind"],
            "union" => &["kind", "withsource", "with_source", "isfuzzy"],
            "mv-expand" | "mvexpand" | "mv-apply" | "mvapply" => {
                &["kind", "bagexpansion", "with_itemindex"]
            }
            _ => &[],
        };
        let mut settings = Vec::new();
        loop {
            let dotted =
                self.is_symbol_at(1, ".") && self.is_symbol_at(3, "=") && self.is_word("hint");
            let plain = self.is_symbol_at(1, "=") && known.contains(&self.text(0));
            if !dotted && !plain {
                return settings;
            }
            let mut name = self.name();
            if self.eat_symbol(".") {
                name.text = format!("{}.{}", name.text, self.name().text);
                name.span = self.since(name.span);
            }
            self.expect_symbol("=");
            let value = if self.token() == Token::Name || self.is_symbol("[") {
                let value = self.name();
                self.node(ExpressionKind::Name(value.text), value.span)
            } else {
                self.literal()
            };
            settings.push(Setting { name, value });
        }
    }

    fn source_body(&mut self, name: &Name) -> Body {
        match &*name.text {
            "print" => Body::Items(self.items(&[])),
            "range" => self.range(),
            "datatable" => self.datatable(),
            "union" => Body::Union(self.sources()),
            "evaluate" => self.evaluate(),
            "search" => self.search(),
            "find" => self.find(),
            "macro-expand" => self.raw(),
            _ => self.external_data(),
        }
    }

    fn operator_body(&mut self, name: &Name) -> Body {
        match &*name.text {
            "where" | "filter" => Body::Predicate(self.expression()),
            "project" | "extend" | "distinct" | "project-rename" => {
                let items = self.items(&[]);
                if items.is_empty() {
                    self.report(codes::MISSING_EXPRESSION, "Expected: expression".to_owned());
                }
                Body::Items(items)
            }
            "serialize" => Body::Items(self.items(&[])),
            "project-by-names" => Body::Items(self.column_patterns()),
            "project-away" | "project-keep" | "project-reorder" => {
                Body::Columns(self.ordered(Self::column_item))
            }
            "summarize" => self.summarize(),
            "sort" | "order" => {
                self.expect_word("by");
                Body::Sort(self.ordered(Self::item))
            }
            "top" => {
                let count = self.expression();
                self.expect_word("by");
                Body::Top { count, by: self.ordered(Self::item) }
            }
            "take" | "limit" | "sample" => Body::Number(self.expression()),
            "sample-distinct" => {
                let count = self.expression();
                self.expect_word("of");
                Body::SampleDistinct { count, of: self.expression() }
            }
            "count" | "getschema" | "consume" => self.nothing(),
            "union" => {
                let sources = self.sources();
                if sources.is_empty() {
                    self.report(codes::MISSING_EXPRESSION, "Expected: table".to_owned());
                }
                Body::Union(sources)
            }
            "join" | "lookup" => self.join(),
            "mv-expand" | "mvexpand" => {
                let (items, limit) = self.expanded();
                Body::MvExpand { items, limit }
            }
            "mv-apply" | "mvapply" => self.mv_apply(),
            "parse" | "parse-where" => self.parse_operator(),
            "render" => self.render(),
            "as" => Body::As(self.name()),
            "invoke" => Body::Call(self.expression()),
            "evaluate" => self.evaluate(),
            "partition" => self.partition(),
            "fork" => self.fork(),
            "facet" => self.facet(),
            "make-series" => self.make_series(),
            "top-nested" => self.top_nested(),
            "top-hitters" => self.top_hitters(),
            "parse-kv" => self.parse_kv(),
            "scan" => self.scan(),
            "search" => self.search(),
            "find" => self.find(),
            "reduce" | "assert-schema" | "macro-expand" | "execute-and-cache" => self.raw(),
            "make-graph" => self.make_graph(),
            "graph-match" | "graph-shortest-paths" => self.graph_match(),
            "graph-to-table" => self.graph_to_table(),
            "graph-where-nodes" | "graph-where-edges" => Body::Predicate(self.expression()),
            "graph-mark-components" => self.nothing(),
            _ => self.unknown_operator(name),
        }
    }

    fn unknown_operator(&mut self, name: &Name) -> Body {
        if !name.text.is_empty() {
            let message = format!("The operator '{}' is not known", name.text);
            let known = OPERATORS.iter().map(|operator| operator.name);
            let fix = crate::names::advice(&name.text, known, "docs/kql.md lists the operators");
            self.report_with(codes::UNKNOWN_OPERATOR, name.span, message, fix);
        }
        self.raw()
    }

    /// What stands up to the next operator, unread.
    pub(super) fn raw(&mut self) -> Body {
        self.skip_to_boundary();
        Body::Raw
    }

    fn nothing(&mut self) -> Body {
        if self.at_boundary() { Body::Nothing } else { self.raw() }
    }

    /// Items separated by commas, up to one of the words or the end.
    pub(super) fn items(&mut self, ends: &[&str]) -> Vec<Item> {
        let mut items = Vec::new();
        while !self.at_boundary() && !ends.iter().any(|end| self.is_word(end)) {
            items.push(self.item());
            if !self.eat_symbol(",") {
                return items;
            }
        }
        if !items.is_empty() {
            self.report(codes::MISSING_EXPRESSION, "Expected: expression".to_owned());
        }
        items
    }

    /// `name = expression`, `(a, b) = expression`, `expression`.
    pub(super) fn item(&mut self) -> Item {
        Item { names: self.item_names(), expression: self.expression() }
    }

    /// A column, or a pattern of their names.
    fn column_item(&mut self) -> Item {
        let names = self.item_names();
        let expression = if names.is_empty() { self.column_pattern() } else { self.expression() };
        Item { names, expression }
    }

    fn column_patterns(&mut self) -> Vec<Item> {
        let mut patterns = Vec::new();
        while !self.at_boundary() {
            patterns.push(self.column_item());
            if !self.eat_symbol(",") {
                break;
            }
        }
        patterns
    }

    fn item_names(&mut self) -> Vec<Name> {
        let single = self.lexeme(0).token == Token::Name && self.is_symbol_at(1, "=")
            || self.lexeme(0).token == Token::Timespan && self.is_symbol_at(1, "=")
            || self.is_quoted_name() && self.is_symbol_at(3, "=");
        if single {
            let name = self.name();
            self.expect_symbol("=");
            return vec![name];
        }
        if !self.is_symbol("(") || !self.is_name_list() {
            return Vec::new();
        }
        self.advance();
        let mut names = Vec::new();
        while !self.is_symbol(")") && !self.at_boundary() {
            names.push(self.name());
            if !self.eat_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")");
        self.expect_symbol("=");
        names
    }

    /// Whether `(a, ['b'], …) =` stands here.
    fn is_name_list(&self) -> bool {
        for ahead in 1..self.tokens.len() - self.at {
            match self.lexeme(ahead).token {
                Token::Name | Token::Text | Token::Symbol("," | "[" | "]") => {}
                Token::Symbol(")") => return self.is_symbol_at(ahead + 1, "="),
                _ => return false,
            }
        }
        false
    }

    fn summarize(&mut self) -> Body {
        let aggregates = self.items(&["by"]);
        let has_by = self.eat_word("by");
        let by = if has_by { self.items(&[]) } else { Vec::new() };
        if has_by && by.is_empty() || aggregates.is_empty() && by.is_empty() {
            self.report(codes::MISSING_EXPRESSION, "Expected: expression".to_owned());
        }
        Body::Summarize { aggregates, by }
    }

    fn ordered(&mut self, item: fn(&mut Self) -> Item) -> Vec<Ordered> {
        let mut keys = Vec::new();
        while !self.at_boundary() {
            let item = item(self);
            // `granny-asc`: numbers within names count as numbers.
            let by_number = self.is_word("granny") && self.is_symbol_at(1, "-");
            if by_number {
                self.at += 2;
            }
            let descending = if self.eat_word("asc") {
                Some(false)
            } else {
                self.eat_word("desc").then_some(true)
            };
            let nulls_first = self.eat_word("nulls").then(|| {
                let first = self.eat_word("first");
                if !first {
                    self.expect_word("last");
                }
                first
            });
            keys.push(Ordered { item, descending, by_number, nulls_first });
            if !self.eat_symbol(",") {
                break;
            }
        }
        if keys.is_empty() {
            self.report(codes::MISSING_EXPRESSION, "Expected: expression".to_owned());
        }
        keys
    }

    /// The tables of a union.
    fn sources(&mut self) -> Vec<Expression> {
        let mut sources = Vec::new();
        while !self.at_boundary() {
            sources.push(self.column_pattern());
            if !self.eat_symbol(",") {
                break;
            }
        }
        sources
    }

    fn join(&mut self) -> Body {
        let right = self.expression();
        let mut on = Vec::new();
        if self.eat_word("on") {
            while !self.at_boundary() {
                on.push(self.expression());
                if !self.eat_symbol(",") {
                    break;
                }
            }
        }
        Body::Join { right, on }
    }

    fn range(&mut self) -> Body {
        let name = self.name();
        self.expect_word("from");
        let from = self.expression();
        self.expect_word("to");
        let to = self.expression();
        self.expect_word("step");
        Body::Range { name, from, to, step: self.expression() }
    }

    fn datatable(&mut self) -> Body {
        self.expect_symbol("(");
        let columns = self.columns(")");
        self.expect_symbol(")");
        self.expect_symbol("[");
        let values = self.list_items("]");
        self.expect_symbol("]");
        Body::Datatable { columns, values }
    }

    fn external_data(&mut self) -> Body {
        self.expect_symbol("(");
        if self.token() == Token::Text {
            self.advance();
        } else {
            self.columns(")");
        }
        self.expect_symbol(")");
        self.raw()
    }

    fn expanded(&mut self) -> (Vec<Expanded>, Option<Expression>) {
        let mut items = Vec::new();
        while !self.at_boundary() {
            let item = self.item();
            let to = if self.eat_word("to") {
                self.expect_word("typeof");
                self.expect_symbol("(");
                let to = self.type_name();
                self.expect_symbol(")");
                Some(to)
            } else {
                None
            };
            items.push(Expanded { item, to });
            if !self.eat_symbol(",") {
                break;
            }
        }
        let limit = self.eat_word("limit").then(|| self.expression());
        (items, limit)
    }

    fn mv_apply(&mut self) -> Body {
        let (items, limit) = self.expanded();
        self.expect_word("on");
        let on = self.sub_pipeline();
        Body::MvApply { items, limit, on }
    }

    /// `(operator | operator …)` over rows that are handed in, or a whole pipeline in brackets.
    pub(super) fn sub_pipeline(&mut self) -> Pipeline {
        let start = self.span();
        let closing = if self.is_symbol("{") { "}" } else { ")" };
        if !self.eat_symbol("{") {
            self.expect_symbol("(");
        }
        let is_whole = self.at_source_operator() || !self.at_operator();
        let pipeline = self.nested(
            |span| Pipeline { source: Source::Input, operators: Vec::new(), span },
            |parser| if is_whole { parser.pipeline() } else { parser.operators_on_input() },
        );
        self.expect_symbol(closing);
        Pipeline { span: self.since(start), ..pipeline }
    }

    /// Whether the words here are the name of an operator.
    fn at_operator(&self) -> bool {
        let mut name = self.text(0).to_owned();
        let mut ahead = 1;
        while self.is_symbol_at(ahead, "-") && self.touches_previous(ahead) {
            name = format!("{name}-{}", self.text(ahead + 1));
            ahead += 2;
        }
        self.token() == Token::Name && is_operator(&name) && !self.is_symbol_at(ahead, "|")
            || matches!(&*name, "count" | "getschema" | "consume" | "serialize")
    }

    fn operators_on_input(&mut self) -> Pipeline {
        let start = self.span();
        let mut operators = vec![self.operator(false)];
        while self.eat_symbol("|") {
            operators.push(self.operator(false));
        }
        Pipeline { source: Source::Input, operators, span: self.since(start) }
    }

    fn parse_operator(&mut self) -> Body {
        let source = self.expression();
        self.expect_word("with");
        let mut parts = Vec::new();
        while !self.at_boundary() {
            match self.token() {
                Token::Text => {
                    parts.push(PatternPart::Literal(decode(self.text(0))));
                    self.advance();
                }
                Token::Symbol("*") => {
                    parts.push(PatternPart::Skip);
                    self.advance();
                }
                Token::Name | Token::Symbol("[") if self.at_name() => {
                    let name = self.name();
                    let to = if self.eat_symbol(":") { self.type_name() } else { Type::String };
                    parts.push(PatternPart::Capture(name, to));
                }
                _ => break,
            }
        }
        Body::Parse { source, parts }
    }

    /// `render kind [with (name=value, …)]`; the older form has no `with (…)`.
    fn render(&mut self) -> Body {
        let kind = self.name();
        let bracket = self.eat_word("with") && self.eat_symbol("(");
        let mut properties: Vec<(Name, String)> = Vec::new();
        while !self.at_boundary() {
            if self.eat_symbol(",") {
                continue;
            }
            if self.is_symbol_at(1, "=") {
                let name = self.name();
                self.expect_symbol("=");
                let value = self.property_value();
                properties.push((name, value));
            } else if let Some((_, text)) = properties.last_mut() {
                // A list goes on: `ycolumns=a, b`.
                let mut list = std::mem::take(text);
                list = format!("{list},{}", self.property_value());
                if let Some((_, text)) = properties.last_mut() {
                    *text = list;
                }
            } else {
                break;
            }
        }
        if bracket {
            self.expect_symbol(")");
        }
        Body::Render { kind, properties }
    }

    fn property_value(&mut self) -> String {
        let start = self.span();
        if self.token() == Token::Text {
            let text = decode(self.text(0));
            self.advance();
            return text;
        }
        while !self.at_boundary() && !self.is_symbol(",") {
            self.advance();
            if self.token() == Token::Name && self.is_symbol_at(1, "=") {
                break;
            }
        }
        self.since(start).text(self.source).trim().to_owned()
    }
}

fn is_operator(name: &str) -> bool {
    OPERATORS.iter().any(|operator| operator.name == name)
}
