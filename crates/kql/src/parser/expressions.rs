//! Expressions: a Pratt parser.
//!
//! From loosest to tightest: `or`, `and`, equality (`==`, `in`, `between` …), order (`<` …), sums,
//! products, string predicates (`has` …), sign, member access. The order is Kusto's.

use super::Parser;
use crate::lexer::Token;
use crate::syntax::{Expression, ExpressionKind, Item, ListTest, Name, Operation, Shape};
use crate::{Span, Type, Value, codes};

const OR: u8 = 1;
const AND: u8 = 2;
const EQUALITY: u8 = 3;
const ORDER: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const STRING: u8 = 7;

/// Binary operators that are symbols.
const SYMBOLS: [(&str, u8); 14] = [
    ("==", EQUALITY),
    ("!=", EQUALITY),
    ("<>", EQUALITY),
    ("=~", STRING),
    ("!~", STRING),
    ("<", ORDER),
    (">", ORDER),
    ("<=", ORDER),
    (">=", ORDER),
    ("+", SUM),
    ("-", SUM),
    ("*", PRODUCT),
    ("/", PRODUCT),
    ("%", PRODUCT),
];

/// Binary operators that are words.
const WORDS: [(&str, u8); 36] = [
    ("or", OR),
    ("and", AND),
    ("has", STRING),
    ("!has", STRING),
    ("has_cs", STRING),
    ("!has_cs", STRING),
    ("hasprefix", STRING),
    ("!hasprefix", STRING),
    ("hasprefix_cs", STRING),
    ("!hasprefix_cs", STRING),
    ("hassuffix", STRING),
    ("!hassuffix", STRING),
    ("hassuffix_cs", STRING),
    ("!hassuffix_cs", STRING),
    ("contains", STRING),
    ("!contains", STRING),
    ("contains_cs", STRING),
    ("!contains_cs", STRING),
    ("containscs", STRING),
    ("!containscs", STRING),
    ("notcontains", STRING),
    ("startswith", STRING),
    ("!startswith", STRING),
    ("startswith_cs", STRING),
    ("!startswith_cs", STRING),
    ("endswith", STRING),
    ("!endswith", STRING),
    ("endswith_cs", STRING),
    ("!endswith_cs", STRING),
    ("matches", STRING),
    ("like", STRING),
    ("notlike", STRING),
    ("like_cs", STRING),
    ("notlike_cs", STRING),
    ("!like", STRING),
    ("notcontains_cs", STRING),
];

impl Parser<'_> {
    /// A scalar expression.
    pub(super) fn expression(&mut self) -> Expression {
        self.nested(Expression::error, |parser| parser.binary(OR))
    }

    /// A scalar expression, or a pipeline.
    pub(super) fn expression_or_pipeline(&mut self) -> Expression {
        let start = self.span();
        if !self.at_source_operator() {
            let expression = self.expression();
            if !self.is_symbol("|") {
                return expression;
            }
            let pipeline = self.pipeline_from(expression);
            return self.node(ExpressionKind::Pipeline(Box::new(pipeline)), self.since(start));
        }
        let pipeline = self.pipeline();
        let span = self.since(start);
        self.node(ExpressionKind::Pipeline(Box::new(pipeline)), span)
    }

    fn binary(&mut self, least: u8) -> Expression {
        let mut left = self.unary();
        // Terms of `or` and `and`, gathered so that a thousand of them make no deep tree.
        loop {
            let start = left.span;
            if let Some(list) = self.list_test(least) {
                left = self.list(left, list);
                continue;
            }
            let word = self.lexeme(0).token == Token::Name;
            if word && matches!(self.text(0), "between" | "!between") && least <= EQUALITY {
                left = self.between(left);
                continue;
            }
            let Some((operation, power)) = self.operation().filter(|&(_, power)| power >= least)
            else {
                return left;
            };
            self.advance();
            if operation == "matches" {
                self.expect_word("regex");
            }
            if power <= AND {
                left = self.connective(left, operation, power);
                continue;
            }
            let right = self.binary(power + 1);
            let span = start.to(right.span);
            let operation = Operation(operation);
            left =
                self.node(ExpressionKind::Binary(operation, Box::new(left), Box::new(right)), span);
        }
    }

    /// The binary operator at the current token, with its power.
    fn operation(&self) -> Option<(&'static str, u8)> {
        match self.token() {
            Token::Symbol(":") if self.at_search_colon() => Some((":", STRING)),
            Token::Symbol(symbol) => SYMBOLS.into_iter().find(|(known, _)| *known == symbol),
            Token::Name => WORDS.into_iter().find(|(known, _)| *known == self.text(0)),
            _ => None,
        }
    }

    /// All terms that `and` (or `or`) connects, as a balanced tree. The operator is already read.
    fn connective(&mut self, first: Expression, operation: &'static str, power: u8) -> Expression {
        let mut terms = vec![first, self.binary(power + 1)];
        while self.eat_word(operation) {
            terms.push(self.binary(power + 1));
        }
        while terms.len() > 1 {
            let mut halved = Vec::with_capacity(terms.len().div_ceil(2));
            let mut rest = terms.into_iter();
            while let Some(left) = rest.next() {
                let Some(right) = rest.next() else {
                    halved.push(left);
                    break;
                };
                let span = left.span.to(right.span);
                let pair = (Operation(operation), Box::new(left), Box::new(right));
                halved.push(self.node(ExpressionKind::Binary(pair.0, pair.1, pair.2), span));
            }
            terms = halved;
        }
        terms.pop().unwrap_or_else(|| Expression::error(self.span()))
    }

    fn list_test(&self, least: u8) -> Option<(ListTest, bool)> {
        if self.token() != Token::Name || least > EQUALITY {
            return None;
        }
        Some(match self.text(0) {
            "in" => (ListTest::In, false),
            "!in" => (ListTest::In, true),
            "in~" => (ListTest::InIgnoringCase, false),
            "!in~" => (ListTest::InIgnoringCase, true),
            "has_any" => (ListTest::HasAny, false),
            "has_all" => (ListTest::HasAll, false),
            _ => return None,
        })
    }

    fn list(&mut self, left: Expression, (test, negated): (ListTest, bool)) -> Expression {
        let start = left.span;
        self.advance();
        let items = if self.eat_symbol("(") {
            let items = self.list_items(")");
            self.expect_symbol(")");
            items
        } else {
            vec![self.unary()]
        };
        let left = Box::new(left);
        let span = self.since(start);
        self.node(ExpressionKind::List { test, negated, left, items }, span)
    }

    /// Expressions separated by commas up to the closing bracket.
    pub(super) fn list_items(&mut self, closing: &str) -> Vec<Expression> {
        let mut items = Vec::new();
        while !self.is_symbol(closing) && !self.at_boundary() {
            items.push(self.expression_or_pipeline());
            if !self.eat_symbol(",") {
                break;
            }
        }
        items
    }

    fn between(&mut self, value: Expression) -> Expression {
        let start = value.span;
        let negated = self.text(0) == "!between";
        self.advance();
        self.expect_symbol("(");
        let low = self.expression();
        self.expect_symbol("..");
        let high = self.expression();
        self.expect_symbol(")");
        let (value, low, high) = (Box::new(value), Box::new(low), Box::new(high));
        let span = self.since(start);
        self.node(ExpressionKind::Between { negated, value, low, high }, span)
    }

    fn unary(&mut self) -> Expression {
        let start = self.span();
        if self.eat_symbol("-") {
            let operand = self.nested(Expression::error, Self::unary);
            let span = self.since(start);
            return self.negate(operand, span);
        }
        if self.eat_symbol("+") {
            return self.nested(Expression::error, Self::unary);
        }
        let operand = self.primary();
        self.postfix(operand)
    }

    fn negate(&mut self, operand: Expression, span: Span) -> Expression {
        let value = match &operand.kind {
            ExpressionKind::Literal(Value::Long(number), _) => Value::Long(number.wrapping_neg()),
            ExpressionKind::Literal(Value::Int(number), _) => Value::Int(number.wrapping_neg()),
            ExpressionKind::Literal(Value::Real(number), _) => Value::Real(-number),
            ExpressionKind::Literal(Value::Timespan(ticks), _) => {
                Value::Timespan(ticks.wrapping_neg())
            }
            _ => return self.node(ExpressionKind::Negate(Box::new(operand)), span),
        };
        let ExpressionKind::Literal(_, literal_type) = operand.kind else { return operand };
        self.node(ExpressionKind::Literal(value, literal_type), span)
    }

    /// `.name`, `['key']`, `[0]` behind an operand.
    fn postfix(&mut self, mut operand: Expression) -> Expression {
        let start = operand.span;
        loop {
            if self.is_symbol(".") {
                self.advance();
                if !self.is_symbol("[") || self.is_quoted_name() {
                    operand = self.member(operand, start);
                }
            } else if self.is_symbol("[") && matches!(operand.kind, ExpressionKind::Error) {
                return operand;
            } else if self.eat_symbol("[") {
                let index = self.expression();
                self.expect_symbol("]");
                let span = self.since(start);
                let kind = ExpressionKind::Index(Box::new(operand), Box::new(index));
                operand = self.node(kind, span);
            } else {
                return operand;
            }
        }
    }

    /// What stands behind a dot: a member, or a call as in `cluster('x').database('y')`, which
    /// becomes a call of `.database` with the object as first argument.
    fn member(&mut self, operand: Expression, start: Span) -> Expression {
        if self.is_symbol("*") {
            let pattern = self.wildcard();
            let name = Name { text: pattern.span.text(self.source).to_owned(), span: pattern.span };
            let span = self.since(start);
            return self.node(ExpressionKind::Member(Box::new(operand), name), span);
        }
        let mut name = self.name();
        // `database('x').T*`
        let ends =
            matches!(self.lexeme(1).token, Token::End | Token::Symbol("," | ")" | "|" | ";"));
        if self.is_symbol("*") && self.touches_previous(0) && ends {
            self.advance();
            name.text.push('*');
        }
        if self.eat_symbol("(") {
            let object = Item { names: Vec::new(), expression: operand };
            let mut arguments = vec![object];
            arguments.extend(self.nested(|_| Vec::new(), Self::arguments));
            self.expect_symbol(")");
            let span = self.since(start);
            let name = Name { text: format!(".{}", name.text), span: name.span };
            return self.node(ExpressionKind::Call { name, arguments }, span);
        }
        let span = self.since(start);
        self.node(ExpressionKind::Member(Box::new(operand), name), span)
    }

    fn primary(&mut self) -> Expression {
        let span = self.span();
        match self.token() {
            Token::Text | Token::Long | Token::Real | Token::Timespan | Token::Typed(_) => {
                self.literal()
            }
            Token::Name => self.name_or_call(),
            Token::Symbol("(") => self.parenthesised(),
            Token::Symbol("[") if self.is_quoted_name() => {
                let name = self.name();
                if self.is_symbol("(") {
                    return self.call(name, span);
                }
                self.node(ExpressionKind::Name(name.text), name.span)
            }
            Token::Symbol("*") => self.wildcard(),
            Token::Error => {
                self.advance();
                Expression::error(span)
            }
            _ => {
                self.report(codes::MISSING_EXPRESSION, "Expected: expression".to_owned());
                Expression::error(span)
            }
        }
    }

    /// `*`, or a name with stars: `a*b`, `*_x`, where the parts touch.
    fn wildcard(&mut self) -> Expression {
        let start = self.span();
        let mut text = self.text(0).to_owned();
        self.advance();
        while (self.is_symbol("*") || self.token() == Token::Name) && self.touches_previous(0) {
            text.push_str(self.text(0));
            self.advance();
        }
        let kind = if text == "*" { ExpressionKind::Star } else { ExpressionKind::Wildcard(text) };
        let span = self.since(start);
        self.node(kind, span)
    }

    /// A column pattern where products cannot stand.
    pub(super) fn column_pattern(&mut self) -> Expression {
        let star_follows = self.is_symbol_at(1, "*") && self.touches_previous(1);
        if self.is_symbol("*") || self.token() == Token::Name && star_follows {
            return self.wildcard();
        }
        self.expression()
    }

    fn parenthesised(&mut self) -> Expression {
        let start = self.span();
        self.advance();
        let inner = self.nested(Expression::error, Self::expression_or_pipeline);
        self.expect_symbol(")");
        Expression { span: self.since(start), ..inner }
    }

    fn name_or_call(&mut self) -> Expression {
        let start = self.span();
        let name = self.name();
        match &*name.text {
            "true" | "false" => {
                let value = Value::Bool(name.text == "true");
                return self.node(ExpressionKind::Literal(value, Type::Bool), start);
            }
            "null" if !self.is_symbol("(") => {
                return self.node(ExpressionKind::Literal(Value::Null, Type::Dynamic), start);
            }
            "dynamic" if self.is_symbol("(") => return self.dynamic(start),
            "typeof" if self.is_symbol("(") => return self.type_of(start),
            _ => {}
        }
        if self.is_symbol("(") {
            return self.call(name, start);
        }
        self.node(ExpressionKind::Name(name.text), start)
    }

    fn call(&mut self, name: Name, start: Span) -> Expression {
        self.expect_symbol("(");
        let arguments = self.nested(|_| Vec::new(), Self::arguments);
        self.expect_symbol(")");
        let span = self.since(start);
        self.node(ExpressionKind::Call { name, arguments }, span)
    }

    pub(super) fn arguments(&mut self) -> Vec<Item> {
        let mut arguments = Vec::new();
        while !self.is_symbol(")") && !self.at_boundary() {
            let names = if self.is_symbol_at(1, "=") { vec![self.name()] } else { Vec::new() };
            if !names.is_empty() {
                self.expect_symbol("=");
            }
            arguments.push(Item { names, expression: self.expression_or_pipeline() });
            if !self.eat_symbol(",") {
                break;
            }
        }
        arguments
    }

    fn type_of(&mut self, start: Span) -> Expression {
        self.expect_symbol("(");
        let is_table = self.is_symbol("*") || self.is_symbol_at(1, ":");
        let shape = if is_table {
            Shape::Table(self.columns(")"))
        } else {
            Shape::Scalar(self.type_name())
        };
        self.expect_symbol(")");
        let span = self.since(start);
        self.node(ExpressionKind::TypeOf(shape), span)
    }
}
