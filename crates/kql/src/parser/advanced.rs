//! Tabular operators with a grammar of their own: `make-series`, `scan`, `top-nested`, `search` …

use super::Parser;
use crate::syntax::{
    Body, Expression, ExpressionKind, ListTest, MakeSeries, NestedLevel, OutputSchema, Pipeline,
    Scan, ScanStep,
};
use crate::{Type, codes};

impl Parser<'_> {
    /// `make-series a = sum(x) default = 0, … on t from f to u step s by k`.
    pub(super) fn make_series(&mut self) -> Body {
        let mut aggregates = Vec::new();
        loop {
            let item = self.item();
            let default = self.eat_word("default").then(|| {
                self.expect_symbol("=");
                self.expression()
            });
            aggregates.push((item, default));
            if !self.eat_symbol(",") {
                break;
            }
        }
        self.expect_word("on");
        let mut axis = self.item();
        let (mut from, mut to, mut end_included) = (None, None, false);
        let step = if let Some((value, [first, last, step])) = in_range(&axis.expression) {
            axis.expression = value;
            (from, to, end_included) = (Some(first), Some(last), true);
            step
        } else {
            if self.eat_word("from") {
                from = Some(self.expression());
            }
            if self.eat_word("to") {
                to = Some(self.expression());
            }
            self.expect_word("step");
            self.expression()
        };
        let by = if self.eat_word("by") { self.items(&[]) } else { Vec::new() };
        let series = MakeSeries { aggregates, axis, from, to, step, end_included, by };
        Body::MakeSeries(Box::new(series))
    }

    /// `top-nested 3 of x by f(y), top-nested 2 of z by g(y)`; the first name is already read.
    pub(super) fn top_nested(&mut self) -> Body {
        let mut levels = Vec::new();
        loop {
            let count = if self.is_word("of") { None } else { Some(self.expression()) };
            self.expect_word("of");
            let of = self.item();
            let others = self.eat_word("with").then(|| {
                self.expect_word("others");
                self.expect_symbol("=");
                self.expression()
            });
            self.expect_word("by");
            let by = self.item();
            let ascending = self.eat_word("asc");
            if !ascending {
                self.eat_word("desc");
            }
            levels.push(NestedLevel { count, of, others, by, ascending });
            if !self.eat_symbol(",") {
                return Body::TopNested(levels);
            }
            self.expect_word("top");
            self.expect_symbol("-");
            self.expect_word("nested");
        }
    }

    /// `top-hitters 5 of x by y`.
    pub(super) fn top_hitters(&mut self) -> Body {
        let count = self.expression();
        self.expect_word("of");
        let of = self.item();
        let by = self.eat_word("by").then(|| self.expression());
        Body::TopHitters { count, of, by }
    }

    /// `parse-kv text as (key:type, …) with (pair_delimiter=' ', …)`.
    pub(super) fn parse_kv(&mut self) -> Body {
        let source = self.expression();
        self.expect_word("as");
        self.expect_symbol("(");
        let keys = self.columns(")");
        self.expect_symbol(")");
        let mut options = Vec::new();
        if self.eat_word("with") {
            self.expect_symbol("(");
            while !self.at_boundary() {
                let name = self.name();
                self.expect_symbol("=");
                options.push((name, self.expression()));
                if !self.eat_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")");
        }
        Body::ParseKv { source, keys, options }
    }

    /// `scan declare (a:long = 0) with (step s: condition => a = x + s.a; …)`.
    pub(super) fn scan(&mut self) -> Body {
        let mut declared = Vec::new();
        if self.eat_word("declare") {
            self.expect_symbol("(");
            declared = self.parameters();
            self.expect_symbol(")");
        }
        let mut match_id = None;
        self.expect_word("with");
        self.expect_symbol("(");
        let mut steps = Vec::new();
        while self.eat_word("step") {
            steps.push(self.scan_step());
            if !self.eat_symbol(";") {
                break;
            }
        }
        self.expect_symbol(")");
        // Behind the steps the setting is read as well.
        if self.eat_word("with_match_id") {
            self.expect_symbol("=");
            match_id = Some(self.name());
        }
        Body::Scan(Box::new(Scan { match_id, declared, steps }))
    }

    fn scan_step(&mut self) -> ScanStep {
        let name = self.name();
        let mut output = None;
        if self.eat_word("optional") {
            self.report(codes::UNSUPPORTED, "An optional step is not supported".to_owned());
        }
        if self.eat_word("output") {
            self.expect_symbol("=");
            output = Some(self.name());
        }
        self.expect_symbol(":");
        let condition = self.expression();
        let mut assignments = Vec::new();
        if self.eat_symbol("=>") {
            loop {
                assignments.push(self.item());
                if !self.eat_symbol(",") {
                    break;
                }
            }
        }
        ScanStep { name, output, condition, assignments }
    }

    pub(super) fn partition(&mut self) -> Body {
        self.expect_word("by");
        let key = self.name();
        if !self.is_symbol("(") && !self.is_symbol("{") {
            self.report(codes::MISSING_TOKEN, "Expected: (".to_owned());
            return self.raw();
        }
        Body::Partition { key, subquery: self.sub_pipeline() }
    }

    /// `evaluate plugin(…) : (*, name:type)`.
    pub(super) fn evaluate(&mut self) -> Body {
        let call = self.expression();
        let schema = self.eat_symbol(":").then(|| {
            self.expect_symbol("(");
            let with_input = self.is_symbol("*");
            let columns = self.columns(")");
            self.expect_symbol(")");
            OutputSchema { with_input, columns }
        });
        Body::Evaluate { call, schema }
    }

    /// `fork (where a) name=(where b | take 5)`.
    pub(super) fn fork(&mut self) -> Body {
        let mut branches = Vec::new();
        while !self.at_boundary() {
            let before = self.at;
            let named = self.at_name() && !self.is_symbol("(");
            let name = named.then(|| {
                let name = self.name();
                self.expect_symbol("=");
                name
            });
            branches.push((name, self.sub_pipeline()));
            self.eat_symbol(",");
            if self.at == before {
                break;
            }
        }
        Body::Fork(branches)
    }

    /// `facet by a, b with (take 5)`.
    pub(super) fn facet(&mut self) -> Body {
        self.expect_word("by");
        let mut by = Vec::new();
        while self.at_name() {
            by.push(self.name());
            if !self.eat_symbol(",") {
                break;
            }
        }
        let with: Option<Pipeline> = self.eat_word("with").then(|| self.sub_pipeline());
        Body::Facet { by, with }
    }

    /// `search in (A, B*) "term" and x == 5`.
    pub(super) fn search(&mut self) -> Body {
        let tables = self.tables_in_brackets();
        let predicate = self.search_predicate();
        Body::Search { tables, predicate }
    }

    /// `find in (A, B) where predicate project a, b`.
    pub(super) fn find(&mut self) -> Body {
        let tables = self.tables_in_brackets();
        self.eat_word("where");
        let predicate = self.search_predicate();
        let mut columns = Vec::new();
        if self.is_word("project") && self.is_symbol_at(1, "-") {
            self.at += 2;
            self.expect_word("smart");
        } else if self.eat_word("project") {
            while self.at_name() {
                let name = self.name();
                let of: Option<Type> = self.eat_symbol(":").then(|| self.type_name());
                columns.push((name, of));
                if !self.eat_symbol(",") {
                    break;
                }
            }
        }
        if !self.at_boundary() {
            return self.raw();
        }
        Body::Find { tables, predicate, columns }
    }

    fn tables_in_brackets(&mut self) -> Vec<Expression> {
        let mut tables = Vec::new();
        if self.eat_word("in") {
            self.expect_symbol("(");
            while !self.at_boundary() {
                tables.push(self.column_pattern());
                if !self.eat_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")");
        }
        tables
    }

    /// An expression in which `column:"term"` may stand.
    fn search_predicate(&mut self) -> Expression {
        let outside = std::mem::replace(&mut self.in_search, true);
        let predicate = self.expression();
        self.in_search = outside;
        predicate
    }

    /// `column:"term"` within a search: the colon reads as an operator of its own.
    pub(super) fn at_search_colon(&self) -> bool {
        self.in_search && self.is_symbol(":")
    }
}

/// `x in range(from, to, step)`, which reads as a test against a list: its parts.
fn in_range(axis: &Expression) -> Option<(Expression, [Expression; 3])> {
    let ExpressionKind::List { test: ListTest::In, negated: false, left, items } = &axis.kind
    else {
        return None;
    };
    let [Expression { kind: ExpressionKind::Call { name, arguments }, .. }] = &items[..] else {
        return None;
    };
    let [from, to, step] = &arguments[..] else { return None };
    let bounds = [from, to, step].map(|bound| bound.expression.clone());
    (name.text == "range").then(|| ((**left).clone(), bounds))
}
