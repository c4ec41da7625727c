//! Calls: user functions, the function table, and the forms that are no functions in the plan.

use std::sync::Arc;

use super::coerce::{common, convert};
use super::measure::names_columns;
use super::naming::conversion;
use super::{Binder, Bound, Entity, Reported, Variable};
use crate::syntax::{Expression, ExpressionKind, Item, Name, Shape};
use crate::{
    Aggregate, Diagnostic, Expr, ExprKind, Function, Parameter, Returns, Signature, Span, Type,
    Value, codes,
};

impl Binder<'_> {
    /// A call, scalar or tabular.
    pub(super) fn call(&mut self, name: &Name, arguments: &[Item], span: Span) -> Bound<Entity> {
        match self.scope.find(&name.text).cloned() {
            Some(Variable::Lambda(lambda)) => {
                return self.call_lambda(&lambda, arguments, None, span);
            }
            Some(Variable::Broken) => return Err(Reported),
            Some(Variable::Pattern(cases)) => {
                return self.call_pattern(&cases, name, arguments, None);
            }
            Some(Variable::Table(table)) if arguments.is_empty() => {
                return Ok(Entity::Table(table));
            }
            _ => {}
        }
        match &*name.text {
            "materialize" => {
                let table = self.only(name, arguments, span)?;
                let table = self.table(table)?;
                return self.materialize(table, span).map(Entity::Table);
            }
            "table" => return self.table_call(name, arguments, span),
            "view"
            | "cluster"
            | "database"
            | ".database"
            | "external_table"
            | "externaldata"
            | "stored_query_result"
            | "graph"
            | "workspace"
            | "app"
            | "resource" => {
                return self.unsupported(span, format!("The function '{}()'", name.text));
            }
            _ => {}
        }
        self.scalar_call(name, arguments, span).map(Entity::Scalar)
    }

    fn only<'e>(
        &mut self,
        name: &Name,
        arguments: &'e [Item],
        span: Span,
    ) -> Bound<&'e Expression> {
        match arguments {
            [one] => Ok(&one.expression),
            _ => self.wrong_count(&name.text, (1, 1), arguments.len(), span),
        }
    }

    fn table_call(&mut self, name: &Name, arguments: &[Item], span: Span) -> Bound<Entity> {
        let Some(first) = arguments.first() else {
            return self.wrong_count("table", (1, 2), 0, span);
        };
        let first = self.scalar(&first.expression)?;
        let Some(table) = first.as_literal().and_then(Value::as_str) else {
            return self.error(codes::CONSTANT_EXPECTED, first.span, "A constant is expected");
        };
        let table = Name { text: table.to_owned(), span: name.span };
        let expression = Expression::new(ExpressionKind::Name(table.text), first.span);
        self.table(&expression).map(Entity::Table)
    }

    fn scalar_call(&mut self, name: &Name, arguments: &[Item], span: Span) -> Bound<Expr> {
        if let Some(to) = conversion(&name.text) {
            let inner = match arguments {
                [one] => self.scalar(&one.expression)?,
                // `toint(x, typeof(int))` is read too.
                [one, of] if matches!(of.expression.kind, ExpressionKind::TypeOf(_)) => {
                    self.scalar(&one.expression)?
                }
                _ => return self.wrong_count(&name.text, (1, 1), arguments.len(), span),
            };
            return Ok(Expr { span, ..convert(inner, to) });
        }
        match &*name.text {
            "iff" | "iif" => return self.case(name, arguments, 3, span),
            "case" => return self.case(name, arguments, usize::MAX, span),
            "toscalar" => return self.scalar_of_query(name, arguments, span),
            "column_ifexists" | "columnifexists" => return self.column_if_exists(arguments, span),
            "around" => return self.around(arguments, span),
            "bin_auto" => return self.bin_auto(arguments, span),
            "pack_all" => return self.pack_all(span),
            "bag_pack_columns" => return self.pack_columns(arguments, span),
            "parse_json" | "parsejson" | "todynamic" | "toobject" => {
                let argument = self.only(name, arguments, span)?;
                let inner = self.scalar(argument)?;
                return self.parse_json(inner, span);
            }
            _ => {}
        }
        let in_aggregation = self.rows.last().is_some_and(|row| row.aggregation.is_some());
        let aggregate = Aggregate::from_name(&name.text);
        if in_aggregation && let Some(aggregate) = aggregate {
            return self.aggregate_value(aggregate, arguments, span);
        }
        match Function::from_name(&name.text) {
            Some(function) => self.function(function, arguments, span),
            None if aggregate.is_some() => {
                let message = format!("The aggregate '{}' is not allowed here", name.text);
                self.error(codes::AGGREGATE_NOT_ALLOWED, span, message)
            }
            None => self.unknown_function(name),
        }
    }

    fn unknown_function(&mut self, name: &Name) -> Bound<Expr> {
        let rejected =
            matches!(&*name.text, "cursor_after" | "cursor_before_or_at" | "graph_match");
        if rejected {
            return self.unsupported(name.span, format!("The function '{}()'", name.text));
        }
        let scalars = Function::ALL.iter().map(|function| function.name());
        let aggregates = Aggregate::ALL.iter().map(|aggregate| aggregate.name());
        let special = ["iff", "case", "tostring", "toint", "tolong", "todouble", "todecimal"];
        let variables = self.scope.names();
        let known =
            scalars.chain(aggregates).chain(special).chain(variables.iter().map(String::as_str));
        self.unknown(codes::UNKNOWN_FUNCTION, name, "function", known)
    }

    /// A value that is already dynamic stays what it is.
    fn parse_json(&mut self, inner: Expr, span: Span) -> Bound<Expr> {
        if inner.expr_type == Type::Dynamic {
            return Ok(Expr { span, ..inner });
        }
        let inner = if inner.expr_type == Type::String {
            inner
        } else {
            return Ok(Expr { span, ..convert(inner, Type::Dynamic) });
        };
        let kind = ExprKind::Call { function: Function::ParseJson, args: vec![inner] };
        Ok(Expr { kind, expr_type: Type::Dynamic, span })
    }

    /// `iff(condition, then, else)` and `case(condition, then, …, else)`.
    fn case(&mut self, name: &Name, arguments: &[Item], most: usize, span: Span) -> Bound<Expr> {
        let count = arguments.len();
        if count < 3 || count > most || count.is_multiple_of(2) {
            return self.wrong_count(&name.text, (3, most), count, span);
        }
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (position, argument) in arguments.iter().enumerate() {
            let expr = self.scalar(&argument.expression)?;
            if position.is_multiple_of(2) && position + 1 < count {
                conditions.push(self.as_bool(expr)?);
            } else {
                values.push(expr);
            }
        }
        let (mut values, expr_type) = self.unified(values, span)?;
        let Some(otherwise) = values.pop() else { return Err(Reported) };
        let branches = conditions.into_iter().zip(values).collect();
        let kind = ExprKind::Case { branches, otherwise: Box::new(otherwise) };
        Ok(Expr { kind, expr_type, span })
    }

    /// Brings expressions to one type.
    pub(super) fn unified(&mut self, exprs: Vec<Expr>, span: Span) -> Bound<(Vec<Expr>, Type)> {
        let typed = exprs.iter().filter(|expr| !is_untyped_null(expr)).map(|expr| expr.expr_type);
        let mut found: Option<Type> = None;
        for next in typed {
            found = match found {
                None => Some(next),
                Some(so_far) => match common(so_far, next) {
                    Some(both) => Some(both),
                    None if so_far == Type::Dynamic || next == Type::Dynamic => Some(Type::Dynamic),
                    None => {
                        let message =
                            format!("The values have different types: {so_far} and {next}");
                        return self.error(codes::NO_COMMON_TYPE, span, message);
                    }
                },
            };
        }
        let to = found.unwrap_or(Type::Dynamic);
        Ok((exprs.into_iter().map(|expr| convert(expr, to)).collect(), to))
    }

    fn scalar_of_query(&mut self, name: &Name, arguments: &[Item], span: Span) -> Bound<Expr> {
        let argument = self.only(name, arguments, span)?;
        match self.over_nothing(|binder| binder.entity(argument))? {
            Entity::Scalar(expr) => Ok(Expr { span, ..expr }),
            Entity::Table(table) => {
                let Some(first) = table.schema().columns.first() else {
                    return self.error(codes::WRONG_TYPE, span, "The table has no column");
                };
                let expr_type = first.column_type;
                let relation = self.subquery_relation(table);
                Ok(Expr { kind: ExprKind::Scalar(relation), expr_type, span })
            }
        }
    }

    /// `column_ifexists('name', default)`.
    fn column_if_exists(&mut self, arguments: &[Item], span: Span) -> Bound<Expr> {
        let [name, default] = arguments else {
            return self.wrong_count("column_ifexists", (2, 2), arguments.len(), span);
        };
        let name = self.scalar(&name.expression)?;
        let Some(text) = name.as_literal().and_then(Value::as_str) else {
            return self.error(codes::CONSTANT_EXPECTED, name.span, "A constant is expected");
        };
        if let Some(row) = self.rows.last()
            && let Some(at) = row.schema.position(text)
        {
            return Ok(Expr::column(at, row.schema.columns[at].column_type, span));
        }
        self.scalar(&default.expression)
    }

    /// `around(value, centre, distance)`.
    fn around(&mut self, arguments: &[Item], span: Span) -> Bound<Expr> {
        let [value, centre, distance] = arguments else {
            return self.wrong_count("around", (3, 3), arguments.len(), span);
        };
        let edge = |operation| {
            let (centre, distance) = (centre.expression.clone(), distance.expression.clone());
            let kind = ExpressionKind::Binary(
                crate::syntax::Operation(operation),
                Box::new(centre),
                Box::new(distance),
            );
            Expression::new(kind, span)
        };
        let (low, high) = (edge("-"), edge("+"));
        self.between(false, [&value.expression, &low, &high], span)
    }

    /// `bin_auto(value)`: as `set query_bin_auto_size` and `query_bin_auto_at` have it.
    fn bin_auto(&mut self, arguments: &[Item], span: Span) -> Bound<Expr> {
        let mut args =
            vec![self.only(&Name { text: "bin_auto".into(), span }, arguments, span)?.clone()];
        let size = self.settings.get("query_bin_auto_size").cloned();
        let at = self.settings.get("query_bin_auto_at").cloned();
        let function = if at.is_some() { Function::BinAt } else { Function::Bin };
        let Some(size) = size else {
            let message = "bin_auto() needs a size";
            return self.report(
                Diagnostic::error(codes::CONSTANT_EXPECTED, span, message)
                    .with_fix("write `set query_bin_auto_size=1h;` before the query"),
            );
        };
        args.push(size);
        args.extend(at);
        let items: Vec<Item> =
            args.into_iter().map(|expression| Item { names: Vec::new(), expression }).collect();
        self.function(function, &items, span)
    }

    /// `pack_all()`: a bag of all columns.
    fn pack_all(&mut self, span: Span) -> Bound<Expr> {
        let mut args = Vec::new();
        let columns = self.rows.last().map(|row| Arc::clone(&row.schema)).unwrap_or_default();
        for (at, column) in columns.columns.iter().enumerate() {
            args.push(Expr::literal(Value::String(column.name.to_string()), Type::String, span));
            args.push(Expr::column(at, column.column_type, span));
        }
        let kind = ExprKind::Call { function: Function::BagPack, args };
        Ok(Expr { kind, expr_type: Type::Dynamic, span })
    }

    /// `bag_pack_columns(a, b)`: a bag of these columns.
    fn pack_columns(&mut self, arguments: &[Item], span: Span) -> Bound<Expr> {
        let mut args = Vec::new();
        for argument in arguments {
            let name = super::naming::implicit(&argument.expression).unwrap_or_default();
            args.push(Expr::literal(Value::String(name), Type::String, span));
            args.push(self.scalar(&argument.expression)?);
        }
        let kind = ExprKind::Call { function: Function::BagPack, args };
        Ok(Expr { kind, expr_type: Type::Dynamic, span })
    }

    /// A function of the table.
    fn function(&mut self, function: Function, arguments: &[Item], span: Span) -> Bound<Expr> {
        let signature = function.signature();
        let (arguments, wanted) = split_typeof(arguments);
        let mut args = Vec::with_capacity(arguments.len());
        for argument in arguments {
            if matches!(argument.expression.kind, ExpressionKind::Star) {
                args.extend(self.all_columns(argument.expression.span));
                continue;
            }
            args.push(self.scalar(&argument.expression)?);
        }
        let args = self.arguments(signature, args, span)?;
        if function == Function::BagPack && !args.len().is_multiple_of(2) {
            let message = format!("{}(): each key needs a value", signature.name);
            return self.error(codes::ARGUMENT_PAIRS, span, message);
        }
        if let (Function::Assert, [condition, _]) = (function, &args[..])
            && names_columns(condition)
        {
            let message = "assert(): the condition must not depend on the row";
            return self.error(codes::CONSTANT_EXPECTED, condition.span, message);
        }
        let (args, expr_type) = self.typed_call(function, args, span)?;
        let call = Expr { kind: ExprKind::Call { function, args }, expr_type, span };
        Ok(match wanted {
            Some(wanted) => convert(call, wanted),
            None => call,
        })
    }

    /// What `*` stands for as an argument.
    fn all_columns(&self, span: Span) -> Vec<Expr> {
        let columns = self.rows.last().map(|row| Arc::clone(&row.schema)).unwrap_or_default();
        let columns = columns.columns.iter().enumerate();
        columns.map(|(at, column)| Expr::column(at, column.column_type, span)).collect()
    }

    /// Checks and converts arguments against a signature.
    pub(super) fn arguments(
        &mut self,
        signature: &Signature,
        args: Vec<Expr>,
        span: Span,
    ) -> Bound<Vec<Expr>> {
        let (least, most) = signature.arity();
        if args.len() < least || args.len() > most {
            return self.wrong_count(signature.name, (least, most), args.len(), span);
        }
        let parameters: Vec<Parameter> = signature.parameters().collect();
        let mut converted = Vec::with_capacity(args.len());
        for (position, arg) in args.into_iter().enumerate() {
            let Some(parameter) = parameters.get(position).or(parameters.last()) else { break };
            converted.push(self.fit(signature.name, *parameter, arg)?);
        }
        let shared: Vec<bool> = (0..converted.len())
            .map(|at| {
                parameters.get(at).or(parameters.last()).is_some_and(|p| p.accepts == "common")
            })
            .collect();
        if !shared.contains(&true) {
            return Ok(converted);
        }
        // All of them are `common` in the functions there are.
        self.unified(converted, span).map(|(args, _)| args)
    }

    /// One argument as its parameter takes it.
    fn fit(&mut self, function: &str, parameter: Parameter, arg: Expr) -> Bound<Expr> {
        let actual = arg.expr_type;
        let wanted = match parameter.accepts {
            "any" | "common" | "ordered" => return Ok(arg),
            "text" => return Ok(convert(arg, Type::String)),
            "number" if actual.is_number() => return Ok(arg),
            "summable" if actual.is_number() || actual == Type::Timespan => return Ok(arg),
            "summable" if actual == Type::Datetime => return Ok(arg),
            "number" | "summable" => Type::Real,
            "integer" if actual.is_integer() => return Ok(arg),
            "integer" => Type::Long,
            named => Type::from_name(named).unwrap_or(Type::Dynamic),
        };
        let numbers = wanted.is_number() && actual.is_number();
        let narrowing = wanted.is_integer() && !actual.is_integer();
        let fits = actual == wanted
            || actual == Type::Dynamic
            || numbers && !narrowing
            || is_untyped_null(&arg);
        if fits {
            return Ok(convert(arg, wanted));
        }
        let message =
            format!("{function}(): an argument of type {wanted} is expected, not {actual}");
        let code = match (parameter.accepts, wanted) {
            ("summable", _) => codes::SUMMABLE_EXPECTED,
            ("number", _) if Aggregate::from_name(function).is_some() => codes::SUMMABLE_EXPECTED,
            ("number" | "real", _) => codes::NUMBER_EXPECTED,
            ("integer" | "int" | "long", _) => codes::INTEGER_EXPECTED,
            (_, Type::String) => codes::OTHER_TYPE,
            ("dynamic", _) if function.contains("bag") => codes::BAG_EXPECTED,
            ("dynamic", _) if OF_ARRAYS.iter().any(|of| function.starts_with(of)) => {
                codes::ARRAY_EXPECTED
            }
            _ => codes::WRONG_TYPE,
        };
        let mut diagnostic = Diagnostic::error(code, arg.span, message);
        diagnostic = match wanted {
            Type::Dynamic if actual == Type::String => {
                diagnostic.with_fix("parse it with parse_json()")
            }
            Type::Real => diagnostic.with_fix("convert it with todouble()"),
            Type::Dynamic => diagnostic,
            other => diagnostic.with_fix(format!("convert it with to{other}()")),
        };
        self.report(diagnostic)
    }

    /// The type of a call whose arguments fit, and the arguments where the type changes them.
    fn typed_call(
        &mut self,
        function: Function,
        mut args: Vec<Expr>,
        span: Span,
    ) -> Bound<(Vec<Expr>, Type)> {
        let of = |at: usize, args: &[Expr]| args.get(at).map_or(Type::Dynamic, |arg| arg.expr_type);
        let expr_type = match (function.signature().returns, function) {
            // Of an int the lower 32 bits are shown.
            (Returns::Type(always), Function::ToHex) if of(0, &args) == Type::Int => {
                let bits = convert(args.remove(0), Type::Long);
                let mask = Expr::literal(Value::Long(0xFFFF_FFFF), Type::Long, span);
                let kind = ExprKind::Call { function: Function::BinaryAnd, args: vec![bits, mask] };
                args.insert(0, Expr { kind, expr_type: Type::Long, span });
                always
            }
            (Returns::Type(always), Function::Hash | Function::HashXxhash64) => {
                let known = [Type::String, Type::Long, Type::Datetime, Type::Timespan, Type::Real];
                if !known.contains(&of(0, &args)) {
                    let what = format!("{}() of a {}", function.name(), of(0, &args));
                    let diagnostic = Diagnostic::error(
                        codes::UNSUPPORTED,
                        span,
                        format!("{what} is not supported"),
                    );
                    return self
                        .report(diagnostic.with_fix("convert it with tolong() or tostring()"));
                }
                always
            }
            (Returns::Type(always), _) => always,
            (Returns::Argument(at) | Returns::Widened(at) | Returns::Mean(at), _) => of(at, &args),
            (Returns::Common, _) => of(0, &args),
            (Returns::Special, Function::Bin | Function::BinAt) => return self.bin(args, span),
            (Returns::Special, Function::Round) => {
                if of(0, &args) != Type::Decimal {
                    let first = args.remove(0);
                    args.insert(0, convert(first, Type::Real));
                }
                of(0, &args)
            }
            (Returns::Special, Function::PercentileTdigest) => Type::Dynamic,
            (Returns::Special, _) => Type::String,
        };
        Ok((args, expr_type))
    }

    /// `bin(value, size)`, `bin_at(value, size, fixed point)`.
    fn bin(&mut self, args: Vec<Expr>, span: Span) -> Bound<(Vec<Expr>, Type)> {
        let mut args = args;
        if args[0].expr_type == Type::Dynamic {
            let to = if args[1].expr_type == Type::Timespan { Type::Datetime } else { Type::Real };
            let first = args.remove(0);
            args.insert(0, convert(first, to));
        }
        let (value, size) = (args[0].expr_type, args[1].expr_type);
        let result = match (value, size) {
            (Type::Datetime | Type::Timespan, Type::Timespan) => value,
            (value, size) if value.is_number() && size.is_number() => {
                let widest = common(value, size).unwrap_or(Type::Real);
                args = args.into_iter().map(|arg| convert(arg, widest)).collect();
                widest
            }
            _ => {
                let message =
                    format!("bin(): a {value} cannot be rounded to a multiple of a {size}");
                return self.error(codes::WRONG_TYPE, span, message);
            }
        };
        Ok((args, result))
    }

    pub(super) fn wrong_count<T>(
        &mut self,
        function: &str,
        (least, most): (usize, usize),
        given: usize,
        span: Span,
    ) -> Bound<T> {
        let (code, expected) = match most {
            usize::MAX => (codes::ARGUMENT_RANGE, format!("at least {least}")),
            most if most == least => (codes::ARGUMENT_COUNT, least.to_string()),
            most => (codes::ARGUMENT_COUNT, format!("{least} to {most}")),
        };
        let message = format!("{function}(): {expected} argument(s) expected, not {given}");
        self.error(code, span, message)
    }
}

/// How functions begin that take arrays.
const OF_ARRAYS: [&str; 4] = ["array_", "series_", "set_", "strcat_"];

/// `null` or `dynamic(null)`: fits everywhere.
fn is_untyped_null(expr: &Expr) -> bool {
    expr.expr_type == Type::Dynamic && expr.as_literal().is_some_and(Value::is_null)
}

/// Takes a last `typeof(type)` off the arguments.
fn split_typeof(arguments: &[Item]) -> (&[Item], Option<Type>) {
    if let Some((last, before)) = arguments.split_last()
        && let ExpressionKind::TypeOf(Shape::Scalar(wanted)) = &last.expression.kind
    {
        return (before, Some(*wanted));
    }
    (arguments, None)
}
