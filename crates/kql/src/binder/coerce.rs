//! Types of operators, and the conversions their operands need.

use super::{Binder, Bound};
use crate::{
    BinaryOp, Decimal, Expr, ExprKind, Span, Type, Value, codes, parse_datetime, parse_guid,
};

/// The expression as another type; a constant is converted here and now.
pub(super) fn convert(expr: Expr, to: Type) -> Expr {
    if expr.expr_type == to {
        return expr;
    }
    let span = expr.span;
    if let Some(value) = expr.as_literal().and_then(|value| constant(value, to)) {
        return Expr::literal(value, to, span);
    }
    Expr { kind: ExprKind::Convert(Box::new(expr)), expr_type: to, span }
}

/// A constant as another type, where no engine could disagree about the answer.
fn constant(value: &Value, to: Type) -> Option<Value> {
    Some(match (value, to) {
        (Value::Null, Type::String) => Value::String(String::new()),
        (Value::Null, _) => Value::Null,
        (Value::Long(number), Type::Int) => Value::Int(i32::try_from(*number).ok()?),
        (Value::Int(number), Type::Long) => Value::Long(i64::from(*number)),
        (Value::Int(number), Type::Real) => Value::Real(f64::from(*number)),
        (Value::Int(number), Type::Decimal) => Value::Decimal(Decimal::from(i64::from(*number))),
        (Value::Long(number), Type::Decimal) => Value::Decimal(Decimal::from(*number)),
        (Value::Long(number), Type::Real) if number.unsigned_abs() < 1 << 53 =>
        {
            #[expect(clippy::cast_precision_loss, reason = "smaller than 2^53, so it is exact")]
            Value::Real(*number as f64)
        }
        _ => return None,
    })
}

/// The type two operands of a comparison or of branches are brought to.
pub(super) fn common(left: Type, right: Type) -> Option<Type> {
    if left == right {
        return Some(left);
    }
    if left.is_number() && right.is_number() {
        return Some(widest(left, right));
    }
    None
}

/// The wider of two number types: int, long, real, decimal.
fn widest(left: Type, right: Type) -> Type {
    let rank = |number: Type| match number {
        Type::Int => 0,
        Type::Long => 1,
        Type::Real => 2,
        _ => 3,
    };
    if rank(left) >= rank(right) { left } else { right }
}

impl Binder<'_> {
    /// Arithmetic.
    pub(super) fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Bound<Expr> {
        use BinaryOp::{Add, Divide, Modulo, Multiply, Subtract};
        use Type::{Datetime, Dynamic, Real, Timespan};
        let (left, right) = undynamic(left, right);
        let (l, r) = (left.expr_type, right.expr_type);
        let result = match (op, l, r) {
            (_, l, r) if l.is_number() && r.is_number() => {
                // Kusto calculates with long where both are int.
                let common = widest(widest(l, r), Type::Long);
                let (left, right) = (convert(left, common), convert(right, common));
                return Ok(binary(op, left, right, common, span));
            }
            (Add | Subtract | Modulo, Timespan, Timespan) => Timespan,
            (Divide, Timespan, Timespan) => Real,
            (Add | Subtract, Datetime, Timespan) => Datetime,
            (Add, Timespan, Datetime) => return Ok(binary(Add, right, left, Datetime, span)),
            (Subtract, Datetime, Datetime) => Timespan,
            (Multiply | Divide, Timespan, number) if number.is_number() => {
                let right = if number == Type::Int { convert(right, Type::Long) } else { right };
                return Ok(binary(op, left, right, Timespan, span));
            }
            (Multiply, number, Timespan) if number.is_number() => {
                let left = if number == Type::Int { convert(left, Type::Long) } else { left };
                return Ok(binary(op, right, left, Timespan, span));
            }
            (_, Dynamic, Dynamic) => {
                let (left, right) = (convert(left, Real), convert(right, Real));
                return Ok(binary(op, left, right, Real, span));
            }
            _ => return self.cannot_apply(op, l, r, span),
        };
        Ok(binary(op, left, right, result, span))
    }

    /// `==`, `<` …
    pub(super) fn comparison(
        &mut self,
        op: BinaryOp,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Bound<Expr> {
        let (l, r) = (left.expr_type, right.expr_type);
        match self.aligned(left, right) {
            Some((left, right)) => Ok(binary(op, left, right, Type::Bool, span)),
            None => self.cannot_apply(op, l, r, span),
        }
    }

    /// Brings two operands that are compared to one type, if Kusto compares such types.
    pub(super) fn aligned(&mut self, left: Expr, right: Expr) -> Option<(Expr, Expr)> {
        let (left, right) = narrowed(left, right);
        let (l, r) = (left.expr_type, right.expr_type);
        if let Some(common) = common(l, r) {
            return Some((convert(left, common), convert(right, common)));
        }
        // A dynamic is compared as what the other side is; whole numbers as real, for it may hold
        // a fraction.
        let as_other = |other: Type| if other.is_integer() { Type::Real } else { other };
        match (l, r) {
            (Type::Dynamic, _) => Some((convert(left, as_other(r)), convert(right, as_other(r)))),
            (_, Type::Dynamic) => Some((convert(left, as_other(l)), convert(right, as_other(l)))),
            (_, Type::String) => {
                let value = read_as(right.as_literal()?, l)?;
                Some((left, Expr::literal(value, l, right.span)))
            }
            (Type::String, _) => {
                let value = read_as(left.as_literal()?, r)?;
                let span = left.span;
                Some((Expr::literal(value, r, span), right))
            }
            _ => None,
        }
    }

    pub(super) fn cannot_apply(
        &mut self,
        op: BinaryOp,
        left: Type,
        right: Type,
        span: Span,
    ) -> Bound<Expr> {
        let message = format!(
            "The operator '{}' cannot be applied to values of types {left} and {right}",
            symbol(op)
        );
        let to = if left == Type::String { right } else { left };
        let fix = format!("convert one side, e.g. with to{to}()");
        self.report(crate::Diagnostic::error(codes::OPERATOR_TYPES, span, message).with_fix(fix))
    }

    /// Text as string operators take it.
    pub(super) fn as_text(&mut self, expr: Expr) -> Bound<Expr> {
        match expr.expr_type {
            Type::String => Ok(expr),
            Type::Dynamic => Ok(convert(expr, Type::String)),
            other => {
                let message = format!("A value of type string is expected, not {other}");
                let fix = "convert it with tostring()";
                let code = codes::OPERATOR_TYPES;
                let diagnostic = crate::Diagnostic::error(code, expr.span, message);
                self.report(diagnostic.with_fix(fix))
            }
        }
    }

    /// A condition.
    pub(super) fn as_bool(&mut self, expr: Expr) -> Bound<Expr> {
        match expr.expr_type {
            Type::Bool => Ok(expr),
            Type::Dynamic => Ok(convert(expr, Type::Bool)),
            other => {
                let message = format!("An expression of type bool is expected, not {other}");
                self.error(codes::OTHER_TYPE, expr.span, message)
            }
        }
    }
}

pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr, expr_type: Type, span: Span) -> Expr {
    Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), expr_type, span }
}

/// Where one side of an arithmetic operator is dynamic: as the other side is, but numbers as real,
/// for a dynamic may hold a fraction.
fn undynamic(left: Expr, right: Expr) -> (Expr, Expr) {
    let as_other = |other: Type| match other {
        Type::Int | Type::Long => Type::Real,
        Type::Datetime | Type::Timespan | Type::Real | Type::Decimal => other,
        _ => Type::Dynamic,
    };
    match (left.expr_type, right.expr_type) {
        (Type::Dynamic, Type::Dynamic) => (left, right),
        (Type::Dynamic, other) => (convert(left, as_other(other)), right),
        (other, Type::Dynamic) => {
            let to = as_other(other);
            (left, convert(right, to))
        }
        _ => (left, right),
    }
}

/// A long constant beside an int becomes an int if it fits, so that the column needs no conversion.
fn narrowed(left: Expr, right: Expr) -> (Expr, Expr) {
    let fits = |expr: &Expr| match expr.as_literal() {
        Some(Value::Long(number)) => i32::try_from(*number).is_ok(),
        Some(Value::Null) => true,
        _ => false,
    };
    match (left.expr_type, right.expr_type) {
        (Type::Int, Type::Long) if fits(&right) => (left, convert(right, Type::Int)),
        (Type::Long, Type::Int) if fits(&left) => (convert(left, Type::Int), right),
        _ => (left, right),
    }
}

/// A string constant read as the type it is compared with: `ResponseCode == '200'`.
pub(super) fn read_as(value: &Value, to: Type) -> Option<Value> {
    let text = value.as_str()?.trim();
    Some(match to {
        Type::Bool => Value::Bool(text.parse().ok()?),
        Type::Int => Value::Int(text.parse().ok()?),
        Type::Long => Value::Long(text.parse().ok()?),
        Type::Real => Value::Real(text.parse().ok()?),
        Type::Decimal => Value::Decimal(text.parse().ok()?),
        Type::Datetime => Value::Datetime(parse_datetime(text)?),
        Type::Timespan => Value::Timespan(crate::parse_timespan(text)?),
        Type::Guid => Value::Guid(parse_guid(text)?),
        Type::String | Type::Dynamic => return None,
    })
}

fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessOrEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterOrEqual => ">=",
    }
}

/// The type of a constant; dynamic for null.
pub(super) fn value_type(value: &Value) -> Type {
    match value {
        Value::Null | Value::Dynamic(_) => Type::Dynamic,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Long(_) => Type::Long,
        Value::Real(_) => Type::Real,
        Value::Decimal(_) => Type::Decimal,
        Value::Datetime(_) => Type::Datetime,
        Value::Timespan(_) => Type::Timespan,
        Value::Guid(_) => Type::Guid,
        Value::String(_) => Type::String,
    }
}
