//! Statements and lambdas.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use super::graph::{Flow, Graph};
use super::measure::{depth, names_columns, size};
use super::{Binder, Bound, EXPR_DEPTH_MAX, Entity, Lambda, Reported, Scope, Table, Variable};
use crate::syntax::{
    Body, Expression, ExpressionKind, Item, Parameter, Pipeline, Shape, Source, Statement,
};
use crate::{Expr, Plan, PlannedResult, RelKind, Schema, Span, Type, Visualization, codes, parser};

impl Binder<'_> {
    /// The whole query.
    pub(super) fn query(&mut self, statements: &[Statement]) -> Bound<Plan> {
        let mut results = Vec::new();
        let mut failed = false;
        let mut declared = HashSet::new();
        for (at, statement) in statements.iter().enumerate() {
            if self.open.is_some() {
                return Err(Reported);
            }
            match statement {
                Statement::Query(pipeline) => match self.results_or_tables(pipeline) {
                    // Whoever names the tables of a graph shows them by their names.
                    Ok((_, true)) if has_query(&statements[at + 1..]) => {}
                    Ok((more, _)) => results.extend(more),
                    Err(Reported) => failed = true,
                },
                other => {
                    if let Statement::Let { name, .. } = other
                        && !declared.insert(&*name.text)
                    {
                        let message = format!("A variable '{}' is already declared", name.text);
                        return self.error(codes::DUPLICATE_VARIABLE, name.span, message);
                    }
                    failed |= self.declaration(other).is_err();
                }
            }
        }
        if failed {
            return Err(Reported);
        }
        if results.is_empty() {
            let message = "The query has no tabular expression statement";
            return self.error(codes::MISSING_EXPRESSION, Span::default(), message);
        }
        Ok(Plan { results })
    }

    /// `let`, `set`, `declare`.
    fn declaration(&mut self, statement: &Statement) -> Bound<()> {
        match statement {
            Statement::Let { name, value } => {
                let variable = self.variable(value);
                let failed = variable.is_err();
                self.define(&name.text, variable.unwrap_or(Variable::Broken));
                if failed { Err(Reported) } else { Ok(()) }
            }
            Statement::Set { name, value } => self.set(name, value.as_ref()),
            Statement::Pattern { name, pattern } => self.pattern(name, pattern),
            Statement::Parameters(parameters) => self.query_parameters(parameters),
            Statement::Other { what, span } => {
                self.unsupported(*span, format!("The statement '{what}'"))
            }
            Statement::Query(_) => Ok(()),
        }
    }

    /// `set` changes limits, hints and caches, which are the engine's own affair here; what changes
    /// the answer is rejected.
    fn set(&mut self, name: &crate::syntax::Name, value: Option<&Expression>) -> Bound<()> {
        let changes_answer = name.text.starts_with("query_datetimescope_")
            || matches!(&*name.text, "query_now" | "query_take_max_records" | "best_effort");
        if changes_answer {
            return self.unsupported(name.span, format!("The option '{}'", name.text));
        }
        if let Some(value) = value.filter(|_| name.text.starts_with("query_bin_auto_")) {
            self.settings.insert(name.text.clone(), value.clone());
        }
        Ok(())
    }

    fn variable(&mut self, value: &Expression) -> Bound<Variable> {
        if let ExpressionKind::Lambda { parameters, body, is_view } = &value.kind {
            let (parameters, body, is_view) = (parameters.clone(), body.clone(), *is_view);
            let scope = self.scope.clone();
            return Ok(Variable::Lambda(Rc::new(Lambda { parameters, body, is_view, scope })));
        }
        if let ExpressionKind::Pipeline(pipeline) = &value.kind
            && pipeline.operators.iter().any(|o| matches!(o.body, Body::MakeGraph(_)))
        {
            let flow = |binder: &mut Self| binder.flow(pipeline, &pipeline.operators);
            return Ok(match self.nested(value.span, flow)? {
                Flow::Table(table) => Variable::Table(table),
                Flow::Graph(graph) => Variable::Graph(graph),
            });
        }
        match self.over_nothing(|binder| binder.entity(value))? {
            Entity::Table(table) => Ok(Variable::Table(table)),
            Entity::Scalar(expr) => self.scalar_variable(expr),
        }
    }

    /// `declare query_parameters(name:type = default, …)`.
    fn query_parameters(&mut self, parameters: &[Parameter]) -> Bound<()> {
        for parameter in parameters {
            self.define(&parameter.name.text, Variable::Broken);
            let Shape::Scalar(expected) = parameter.shape else {
                return self.unsupported(parameter.name.span, "A tabular query parameter");
            };
            let given = self.options.parameters.get(&parameter.name.text);
            let value = match given.map(|text| parser::parse_literal(text)) {
                Some(Some(value)) => Expression { span: parameter.name.span, ..value },
                Some(None) => {
                    let message = format!("The value of '{}' is no literal", parameter.name.text);
                    return self.error(codes::INVALID_LITERAL, parameter.name.span, message);
                }
                None => match &parameter.default {
                    Some(default) => default.clone(),
                    None => {
                        let message =
                            format!("The query parameter '{}' has no value", parameter.name.text);
                        return self.error(codes::CONSTANT_EXPECTED, parameter.name.span, message);
                    }
                },
            };
            let expr = self.over_nothing(|binder| binder.scalar(&value))?;
            let expr = self.convert_argument(expr, expected)?;
            let variable = self.scalar_variable(expr)?;
            self.define(&parameter.name.text, variable);
        }
        Ok(())
    }

    /// The results of a statement, and whether they are named tables of a graph.
    fn results_or_tables(&mut self, pipeline: &Pipeline) -> Bound<(Vec<PlannedResult>, bool)> {
        let (last, before, tables) = match pipeline.operators.split_last() {
            Some((last, before)) => match &last.body {
                Body::GraphToTable(tables) if tables.len() > 1 => (last, before, tables),
                _ => return Ok((self.results(pipeline)?, false)),
            },
            None => return Ok((self.results(pipeline)?, false)),
        };
        let Flow::Graph(graph) = self.flow(pipeline, before)? else {
            let message = "'graph-to-table' takes a graph, and these are rows";
            return self.error(codes::WRONG_TYPE, last.span, message);
        };
        let mut results = Vec::new();
        for (name, table) in self.graph_tables(&graph, tables, last)? {
            self.define(&name, Variable::Table(table.clone()));
            let relation = table.relation;
            results.push(PlannedResult { relation, name: Some(name), visualization: None });
        }
        Ok((results, true))
    }

    /// A tabular statement of the query itself, with `render` and `as` at its end; `fork` and
    /// `facet` give several results.
    fn results(&mut self, pipeline: &Pipeline) -> Bound<Vec<PlannedResult>> {
        let mut operators = &pipeline.operators[..];
        let (mut visualization, mut name) = (None, None);
        let mut tables = Vec::new();
        while let Some((last, before)) = operators.split_last() {
            match &last.body {
                Body::Render { kind, properties } if visualization.is_none() => {
                    let text = |(name, text): &(crate::syntax::Name, String)| {
                        (name.text.clone(), text.clone())
                    };
                    let properties = properties.iter().map(text).collect();
                    visualization = Some(Visualization { kind: kind.text.clone(), properties });
                }
                Body::As(given) if name.is_none() => name = Some(given.text.clone()),
                Body::Fork(branches) => {
                    tables = self.fork(pipeline, before, branches)?;
                    break;
                }
                Body::Facet { by, with } => {
                    tables = self.facet(pipeline, before, by, with.as_ref())?;
                    break;
                }
                _ => break,
            }
            operators = before;
        }
        if tables.is_empty() {
            tables.push((name, self.pipeline_with(pipeline, operators)?));
        }
        let is_empty = tables.iter().any(|(_, table)| table.schema().is_empty());
        if is_empty && !self.is_partial {
            return self.error(codes::WRONG_TYPE, pipeline.span, "The result has no columns");
        }
        let result = |(name, table): (Option<String>, Table)| PlannedResult {
            relation: table.relation,
            name,
            visualization: visualization.clone(),
        };
        Ok(tables.into_iter().map(result).collect())
    }

    /// The rows before `fork` or `facet`, computed once.
    fn shared(
        &mut self,
        pipeline: &Pipeline,
        operators: &[crate::syntax::Operator],
    ) -> Bound<Table> {
        let table = self.pipeline_with(pipeline, operators)?;
        self.materialize(table, pipeline.span)
    }

    fn fork(
        &mut self,
        pipeline: &Pipeline,
        before: &[crate::syntax::Operator],
        branches: &[(Option<crate::syntax::Name>, Pipeline)],
    ) -> Bound<Vec<(Option<String>, Table)>> {
        let shared = self.shared(pipeline, before)?;
        let mut tables = Vec::new();
        for (name, branch) in branches {
            let own = branch.operators.last().and_then(|last| match &last.body {
                Body::As(name) => Some(name.text.clone()),
                _ => None,
            });
            let name = name.as_ref().map(|name| name.text.clone()).or(own);
            tables.push((name, self.subquery(shared.clone(), branch)?));
        }
        Ok(tables)
    }

    /// For each column its values and their counts, then the rows of the sub-query.
    fn facet(
        &mut self,
        pipeline: &Pipeline,
        before: &[crate::syntax::Operator],
        by: &[crate::syntax::Name],
        with: Option<&Pipeline>,
    ) -> Bound<Vec<(Option<String>, Table)>> {
        let shared = self.shared(pipeline, before)?;
        let mut tables = Vec::new();
        for name in by {
            let expression = Expression::new(ExpressionKind::Name(name.text.clone()), name.span);
            let count = crate::syntax::Name { text: "count".to_owned(), span: name.span };
            let kind = ExpressionKind::Call { name: count, arguments: Vec::new() };
            let label =
                crate::syntax::Name { text: format!("count_{}", name.text), span: name.span };
            let count = Item { names: vec![label], expression: Expression::new(kind, name.span) };
            let key = Item { names: Vec::new(), expression };
            tables.push((None, self.summarize(&shared, &[count], &[key], name.span)?));
        }
        if let Some(with) = with {
            tables.push((None, self.subquery(shared, with)?));
        }
        Ok(tables)
    }

    /// A pipeline in any other place.
    pub(super) fn pipeline(&mut self, pipeline: &Pipeline) -> Bound<Table> {
        self.nested(pipeline.span, |binder| binder.pipeline_with(pipeline, &pipeline.operators))
    }

    fn pipeline_with(
        &mut self,
        pipeline: &Pipeline,
        operators: &[crate::syntax::Operator],
    ) -> Bound<Table> {
        match self.flow(pipeline, operators)? {
            Flow::Table(table) => Ok(table),
            Flow::Graph(_) => {
                let message = "A graph is no result: end with graph-match or graph-to-table";
                self.error(codes::WRONG_TYPE, pipeline.span, message)
            }
        }
    }

    /// What a pipeline ends with: rows, or a graph on its way.
    fn flow(&mut self, pipeline: &Pipeline, operators: &[crate::syntax::Operator]) -> Bound<Flow> {
        let scope = self.scope.clone();
        let mut flow = match &pipeline.source {
            Source::Expression(expression) => match self.graph_named(expression) {
                Some(graph) => Flow::Graph(graph),
                None => Flow::Table(self.table(expression)?),
            },
            Source::Operator(operator) => Flow::Table(self.source_operator(operator)?),
            Source::Input => Flow::Table(self.handed_in(pipeline.span)?),
        };
        for operator in operators {
            flow = match (flow, &operator.body) {
                (Flow::Graph(graph), _) => self.graph_operator(graph, operator)?,
                (Flow::Table(table), Body::MakeGraph(graph)) => {
                    Flow::Graph(self.make_graph(&table, graph, &operator.name)?)
                }
                (Flow::Table(table), _) => Flow::Table(self.operator(&table, operator)?),
            };
        }
        self.scope = scope;
        Ok(flow)
    }

    fn graph_named(&self, expression: &Expression) -> Option<Graph> {
        let ExpressionKind::Name(name) = &expression.kind else { return None };
        match self.scope.find(name) {
            Some(Variable::Graph(graph)) => Some(graph.clone()),
            _ => None,
        }
    }

    /// A sub-query over these rows.
    pub(super) fn subquery(&mut self, rows: Table, pipeline: &Pipeline) -> Bound<Table> {
        self.handed_in.push(rows);
        let table = self.pipeline(pipeline);
        self.handed_in.pop();
        table
    }

    /// Stands for rows of this type that an operator hands to its sub-query.
    pub(super) fn rows_of(&mut self, schema: &Arc<Schema>, span: Span) -> Bound<Table> {
        self.relation(RelKind::Rows, schema.clone(), 0, span)
    }

    fn handed_in(&mut self, span: Span) -> Bound<Table> {
        match self.handed_in.last().cloned() {
            Some(rows) => Ok(rows),
            None => self.unsupported(span, "A sub-query without rows"),
        }
    }

    /// An expression that must be a table.
    pub(super) fn table(&mut self, expression: &Expression) -> Bound<Table> {
        let told = self.diagnostics.len();
        match self.over_nothing(|binder| binder.entity(expression)) {
            Ok(Entity::Table(table)) => Ok(table),
            Ok(Entity::Scalar(_)) => {
                let message = "A tabular expression is expected";
                self.error(codes::TABLE_EXPECTED, expression.span, message)
            }
            Err(Reported) => {
                let own = self.diagnostics.get_mut(told);
                if let Some(own) = own.filter(|own| own.span == expression.span)
                    && own.code == codes::UNKNOWN_NAME
                {
                    own.code = codes::UNKNOWN_TABLE;
                }
                Err(Reported)
            }
        }
    }

    /// Calls a user's function: binds its body with the arguments in place of the parameters.
    pub(super) fn call_lambda(
        &mut self,
        lambda: &Rc<Lambda>,
        arguments: &[Item],
        piped: Option<Table>,
        span: Span,
    ) -> Bound<Entity> {
        let scope = self.lambda_scope(lambda, arguments, piped, span)?;
        let outer = std::mem::replace(&mut self.scope, scope);
        let bound = self.nested(span, |binder| binder.lambda_body(lambda, span));
        self.scope = outer;
        bound
    }

    fn lambda_body(&mut self, lambda: &Lambda, span: Span) -> Bound<Entity> {
        let mut result = None;
        for statement in &lambda.body {
            match statement {
                Statement::Query(pipeline) => result = Some(self.body_result(pipeline)?),
                other => self.local_declaration(other)?,
            }
        }
        match result {
            Some(entity) => Ok(entity),
            None => self.error(codes::MISSING_EXPRESSION, span, "The function has no result"),
        }
    }

    /// A `let` inside of a function may use the function's parameters, columns behind them too.
    fn local_declaration(&mut self, statement: &Statement) -> Bound<()> {
        let Statement::Let { name, value } = statement else { return self.declaration(statement) };
        if matches!(value.kind, ExpressionKind::Lambda { .. }) {
            return self.declaration(statement);
        }
        let variable = match self.hidden_row(|binder| binder.entity(value))? {
            Entity::Table(table) => Variable::Table(table),
            Entity::Scalar(expr) => self.scalar_variable(expr)?,
        };
        self.define(&name.text, variable);
        Ok(())
    }

    pub(super) fn scalar_variable(&mut self, expr: Expr) -> Bound<Variable> {
        if depth(&expr) > EXPR_DEPTH_MAX {
            return self.error(codes::TOO_DEEP, expr.span, "The expression is nested too deeply");
        }
        let level = names_columns(&expr).then_some(self.rows.len());
        Ok(Variable::Scalar { size: size(&expr), expr, level })
    }

    fn body_result(&mut self, pipeline: &Pipeline) -> Bound<Entity> {
        match &pipeline.source {
            Source::Expression(expression) if pipeline.operators.is_empty() => {
                self.hidden_row(|binder| binder.entity(expression))
            }
            _ => self.pipeline(pipeline).map(Entity::Table),
        }
    }

    /// Hides the names of the caller's columns, at the same level: a function sees only what it is
    /// given.
    fn hidden_row<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        let Some(row) = self.rows.last_mut() else { return self.over_nothing(part) };
        let hidden = std::mem::take(&mut row.schema);
        let right = row.right.take();
        let level = self.rows.len();
        let bound = part(self);
        if let Some(row) = self.rows.get_mut(level - 1) {
            (row.schema, row.right) = (hidden, right);
        }
        bound
    }

    fn lambda_scope(
        &mut self,
        lambda: &Rc<Lambda>,
        arguments: &[Item],
        piped: Option<Table>,
        span: Span,
    ) -> Bound<Rc<Scope>> {
        let mut variables = std::collections::HashMap::new();
        let mut parameters = &lambda.parameters[..];
        if let Some(table) = piped {
            let Some((first, rest)) = parameters.split_first() else {
                let message = "The function takes no table";
                return self.error(codes::ARGUMENT_COUNT, span, message);
            };
            let table = self.check_table(table, first, span)?;
            variables.insert(first.name.text.clone(), Variable::Table(table));
            parameters = rest;
        }
        let mut positional = arguments.iter().filter(|argument| argument.names.is_empty());
        for parameter in parameters {
            let is_named = |argument: &&Item| {
                argument.names.first().is_some_and(|name| name.text == parameter.name.text)
            };
            let argument = arguments.iter().find(is_named).or_else(|| positional.next());
            let variable = match (argument, &parameter.default) {
                (Some(argument), _) => self.argument(parameter, &argument.expression)?,
                (None, Some(default)) => self.argument(parameter, default)?,
                (None, None) => {
                    let message = format!("The argument '{}' is missing", parameter.name.text);
                    return self.error(codes::ARGUMENT_COUNT, span, message);
                }
            };
            variables.insert(parameter.name.text.clone(), variable);
        }
        if positional.next().is_some() {
            let message = format!("The function takes {} argument(s)", parameters.len());
            return self.error(codes::ARGUMENT_COUNT, span, message);
        }
        Ok(Rc::new(Scope { variables, parent: Some(lambda.scope.clone()) }))
    }

    fn argument(&mut self, parameter: &Parameter, value: &Expression) -> Bound<Variable> {
        match parameter.shape {
            Shape::Scalar(expected) => {
                let expr = self.scalar(value)?;
                let expr = self.convert_argument(expr, expected)?;
                self.scalar_variable(expr)
            }
            Shape::Table(_) => {
                let table = self.table(value)?;
                self.check_table(table, parameter, value.span).map(Variable::Table)
            }
        }
    }

    /// A table parameter demands columns by name and type; it shows no others, but all for `(*)`.
    fn check_table(&mut self, table: Table, parameter: &Parameter, span: Span) -> Bound<Table> {
        let Shape::Table(columns) = &parameter.shape else {
            return self.error(codes::WRONG_TYPE, span, "A scalar argument is expected");
        };
        for (name, expected) in columns {
            let found = table.schema().position(&name.text);
            let Some(at) = found else {
                let message = format!("The table lacks the column '{}'", name.text);
                return self.error(codes::TABLE_COLUMNS, span, message);
            };
            let actual = table.schema().columns[at].column_type;
            if actual != *expected {
                let message =
                    format!("The column '{}' has type {actual}, not {expected}", name.text);
                return self.error(codes::TABLE_COLUMNS, span, message);
            }
        }
        Ok(table)
    }

    /// `materialize(table)`.
    pub(super) fn materialize(&mut self, table: Table, span: Span) -> Bound<Table> {
        self.materialized += 1;
        let kind = RelKind::Materialize { input: table.relation.clone(), id: self.materialized };
        self.relation(kind, Arc::clone(table.schema()), table.depth, span)
    }

    fn convert_argument(&mut self, expr: Expr, expected: Type) -> Bound<Expr> {
        if expr.expr_type == expected {
            return Ok(expr);
        }
        let fits = expected.is_number() && expr.expr_type.is_number()
            || expr.expr_type == Type::Dynamic
            || expected == Type::Dynamic;
        if fits {
            return Ok(super::coerce::convert(expr, expected));
        }
        let message = format!("The argument has type {}, not {expected}", expr.expr_type);
        self.error(codes::WRONG_TYPE, expr.span, message)
    }
}

fn has_query(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| matches!(statement, Statement::Query(_)))
}
