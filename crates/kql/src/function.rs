//! The functions of the language: one table of names, signatures, result types and properties.
//!
//! A signature is text, so that the same line serves binder, signature help and reference page:
//! parameter types separated by commas, `?` behind an optional one, `*` behind one that may be
//! repeated (zero or more times). Besides the type names there are `any`, `number` (stays what it
//! is), `integer` (int or long), `summable` (number or timespan), `ordered` (anything but dynamic),
//! `common` (all of these are converted to one type), and `text` (any scalar, converted to string).

mod aggregate;
mod scalar;
pub(crate) mod tuple;

pub use aggregate::Aggregate;
pub use scalar::Function;

use crate::Type;

/// What type a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Always this.
    Type(Type),
    /// The type of the argument at this position.
    Argument(usize),
    /// The type that all `common` arguments are converted to.
    Common,
    /// The type of the argument at this position, but `long` for `int`.
    Widened(usize),
    /// `real` for int, long and real; otherwise the argument's type (decimal, timespan, datetime).
    Mean(usize),
    /// The binder computes it from the arguments.
    Special,
}

/// Properties of a scalar function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The same arguments give the same answer; a null argument gives null.
    Pure,
    /// The same arguments give the same answer; nulls are looked at, e.g. `isnull`.
    SeesNulls,
    /// The same within a query, e.g. `now()`.
    PerQuery,
    /// Another answer each time, e.g. `rand()`.
    Volatile,
    /// Depends on neighbouring rows, e.g. `row_number()`.
    Window,
}

/// A line of the function table.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Name as queries write it.
    pub name: &'static str,
    /// Parameter types, see the module.
    pub parameters: &'static str,
    /// Result type.
    pub returns: Returns,
    /// Properties; aggregates are [`Nature::Pure`].
    pub nature: Nature,
}

/// A parameter, parsed from a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Type word.
    pub accepts: &'static str,
    /// May be left out.
    pub optional: bool,
    /// May stand any number of times.
    pub repeated: bool,
}

impl Signature {
    /// The parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
        self.parameters.split(", ").filter(|word| !word.is_empty()).map(|word| {
            let accepts = word.trim_end_matches(['?', '*']);
            Parameter { accepts, optional: word.ends_with('?'), repeated: word.ends_with('*') }
        })
    }

    /// Fewest and most arguments.
    pub fn arity(&self) -> (usize, usize) {
        let (mut least, mut most) = (0, 0usize);
        for parameter in self.parameters() {
            if !parameter.optional && !parameter.repeated {
                least += 1;
            }
            most = if parameter.repeated { usize::MAX } else { most.saturating_add(1) };
        }
        (least, most)
    }
}

/// The function most like a name, of those that `runs` says run; for what an engine refuses.
pub fn nearest_function(name: &str, runs: impl Fn(Function) -> bool) -> Option<&'static str> {
    let running = Function::ALL.iter().filter(|function| runs(**function));
    crate::names::nearest(name, running.map(|function| function.name()))
}

/// Defines an enum of functions together with its table.
macro_rules! functions {
    (
        $(#[$meta:meta])* $enum:ident {
            $( $variant:ident $name:literal ( $parameters:literal ) $returns:expr, $nature:ident; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enum {
            $( #[doc = concat!("`", $name, "(", $parameters, ")`")] $variant, )*
        }

        impl $enum {
            /// Every one, in the order of the table.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// Its line in the table.
            pub const fn signature(self) -> &'static $crate::function::Signature {
                match self {
                    $( Self::$variant => &$crate::function::Signature {
                        name: $name,
                        parameters: $parameters,
                        returns: $returns,
                        nature: $crate::function::Nature::$nature,
                    }, )*
                }
            }

            /// Its name as queries write it.
            pub const fn name(self) -> &'static str {
                self.signature().name
            }
        }
    };
}

pub(crate) use functions;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const WORDS: [&str; 16] = [
        "any", "number", "integer", "summable", "ordered", "common", "text", "bool", "int", "long",
        "real", "decimal", "datetime", "timespan", "string", "dynamic",
    ];

    fn check(signature: &Signature) {
        let parameters: Vec<_> = signature.parameters().collect();
        for (position, parameter) in parameters.iter().enumerate() {
            let known = WORDS.contains(&parameter.accepts) || parameter.accepts == "guid";
            assert!(known, "{}: {}", signature.name, parameter.accepts);
            let last = position + 1 == parameters.len();
            assert!(!parameter.repeated || last, "{}: only the last repeats", signature.name);
            let rest_may_be_absent =
                parameters[position..].iter().all(|p| p.optional || p.repeated);
            assert!(!parameter.optional || rest_may_be_absent, "{}", signature.name);
        }
        if let Returns::Argument(at) | Returns::Widened(at) | Returns::Mean(at) = signature.returns
        {
            assert!(at < parameters.len(), "{}", signature.name);
        }
    }

    #[test]
    fn the_table_is_sound() {
        let scalars = Function::ALL.iter().map(|function| function.signature());
        let aggregates = Aggregate::ALL.iter().map(|aggregate| aggregate.signature());
        scalars.clone().chain(aggregates.clone()).for_each(check);
        assert_eq!(scalars.clone().map(|s| s.name).collect::<HashSet<_>>().len(), scalars.len());
        let names = aggregates.clone().map(|s| s.name).collect::<HashSet<_>>();
        assert_eq!(names.len(), aggregates.len());
    }

    #[test]
    fn names_are_found() {
        for function in Function::ALL {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("iif"), None, "iff is a Case, not a call");
        assert_eq!(Aggregate::from_name("any"), Some(Aggregate::TakeAny));
    }
}
