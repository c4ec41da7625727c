//! `declare pattern`: a use is the query of the case whose values are its arguments.

use std::rc::Rc;

use super::{Binder, Bound, Entity, Lambda, Variable};
use crate::syntax::{Expression, Item, Name, Pattern};
use crate::{Value, codes};

/// The cases of a pattern.
#[derive(Debug)]
pub(super) struct Cases {
    parameters: usize,
    has_path: bool,
    cases: Vec<Case>,
}

/// The values of the arguments, then of the path, and the query they stand for.
#[derive(Debug)]
struct Case {
    values: Vec<Value>,
    body: Rc<Lambda>,
}

impl Binder<'_> {
    pub(super) fn pattern(&mut self, name: &Name, pattern: &Pattern) -> Bound<()> {
        let mut cases = Vec::new();
        for case in &pattern.cases {
            let given = case.values.iter().chain(&case.path);
            let mut values = Vec::new();
            for value in given {
                values.push(self.pattern_value(value)?);
            }
            let fits = case.values.len() == pattern.parameters.len()
                && case.path.is_some() == pattern.path.is_some();
            if !fits {
                let message = "The values of a pattern must be as many as its parameters";
                return self.error(codes::ARGUMENT_COUNT, name.span, message);
            }
            let body = Rc::new(Lambda {
                parameters: Vec::new(),
                body: case.body.clone(),
                is_view: false,
                scope: self.scope.clone(),
            });
            cases.push(Case { values, body });
        }
        let (parameters, has_path) = (pattern.parameters.len(), pattern.path.is_some());
        let cases = Rc::new(Cases { parameters, has_path, cases });
        self.define(&name.text, Variable::Pattern(cases));
        Ok(())
    }

    fn pattern_value(&mut self, value: &Expression) -> Bound<Value> {
        let expr = self.over_nothing(|binder| binder.scalar(value))?;
        match expr.as_literal() {
            Some(value) => Ok(value.clone()),
            None => self.error(codes::CONSTANT_EXPECTED, value.span, "A constant is expected"),
        }
    }

    /// `pattern('a', 'b')` or `pattern('a', 'b').path`.
    pub(super) fn call_pattern(
        &mut self,
        cases: &Cases,
        name: &Name,
        arguments: &[Item],
        path: Option<&Name>,
    ) -> Bound<Entity> {
        if arguments.len() != cases.parameters {
            let expected = (cases.parameters, cases.parameters);
            return self.wrong_count(&name.text, expected, arguments.len(), name.span);
        }
        if path.is_some() != cases.has_path {
            let message = match path {
                Some(_) => format!("The pattern '{}' takes no path", name.text),
                None => format!("The pattern '{}' takes a path, as in {0}(…).path", name.text),
            };
            return self.error(codes::SYNTAX, name.span, message);
        }
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.pattern_value(&argument.expression)?);
        }
        given.extend(path.map(|path| Value::String(path.text.clone())));
        let Some(case) = cases.cases.iter().find(|case| case.values == given) else {
            let message = format!("The pattern '{}' has no case for these values", name.text);
            return self.error(codes::UNKNOWN_NAME, name.span, message);
        };
        self.call_lambda(&case.body, &[], None, name.span)
    }
}
