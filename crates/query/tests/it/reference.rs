//! The generated part of `docs/kql.md`. `UPDATE_EXPECT=1` rewrites it.

use std::fmt::Write as _;
use std::path::PathBuf;

use kql::{Aggregate, Function, OPERATORS, Operator, PLUGINS, Returns, Signature, Support};

const BEGIN: &str = "<!-- generated: operators and functions -->\n";
const END: &str = "<!-- end of what is generated -->";

#[test]
fn the_page_lists_every_operator_and_function() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/kql.md");
    let page = std::fs::read_to_string(&path).expect("docs/kql.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark where it begins");
    let (written, after) = rest.split_once(END).expect("the mark where it ends");
    let generated = reference();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{generated}{END}{after}")).expect("writable");
        return;
    }
    assert_eq!(written, generated, "run it with UPDATE_EXPECT=1");
}

fn reference() -> String {
    let mut out =
        String::from("\n## Operators\n\n| operator | what it does | here |\n|---|---|---|\n");
    out.push_str(&listed(OPERATORS));
    out.push_str("\n## Plugins of `evaluate`\n\n| plugin | what it does | here |\n|---|---|---|\n");
    out.push_str(&listed(PLUGINS));
    out.push_str("\n## Scalar functions\n\n");
    out.push_str("`?` stands behind an argument that may be left out, `*` behind one that may be repeated.\n\n");
    out.push_str("| function | result |\n|---|---|\n");
    let mut functions: Vec<Function> =
        Function::ALL.iter().copied().filter(|f| !f.name().contains('-')).collect();
    functions.sort_by_key(|function| function.name());
    for function in functions.iter().filter(|function| query::runs(**function)) {
        out.push_str(&line(function.signature(), ""));
    }
    out.push_str("\nAnd `iff`, `iif`, `case`, `column_ifexists`, `pack_all`, `bag_pack_columns`, `toscalar`,\n");
    out.push_str("`materialize`, and the conversions `tobool`, `todatetime`, `todecimal`, `todouble`, `toguid`,\n");
    out.push_str("`toint`, `tolong`, `tostring`, `totimespan`.\n");
    out.push_str("\n## Aggregates\n\n| aggregate | result |\n|---|---|\n");
    for aggregate in Aggregate::ALL {
        let exact = if query::is_exact_here(*aggregate) { "; exact" } else { "" };
        out.push_str(&line(aggregate.signature(), exact));
    }
    out.push_str("\n## Functions refused by name\n\n");
    let refused: Vec<String> = functions
        .iter()
        .filter(|function| !query::runs(**function))
        .map(|function| format!("`{}`", function.name()))
        .collect();
    let mut width = 0;
    for name in refused {
        if width + name.len() > 100 {
            out.push('\n');
            width = 0;
        }
        width += name.len() + 1;
        out.push_str(&name);
        out.push(' ');
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n\n");
    out.split('\n').map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn listed(operators: &[Operator]) -> String {
    let mut out = String::new();
    for operator in operators {
        let here = match operator.support {
            Support::Full => "yes".to_owned(),
            Support::Partial(what) => format!("in part: {what}"),
            Support::Refused(why) => format!("refused: {why}"),
        };
        writeln!(out, "| `{}` | {} | {here} |", operator.name, operator.meaning).expect("grows");
    }
    out
}

fn line(signature: &Signature, note: &str) -> String {
    let returns = match signature.returns {
        Returns::Type(always) => always.to_string(),
        Returns::Argument(at) => format!("type of argument {}", at + 1),
        Returns::Widened(at) => format!("type of argument {}, long for int", at + 1),
        Returns::Mean(_) => "real; decimal, timespan and datetime stay".to_owned(),
        Returns::Common => "common type".to_owned(),
        Returns::Special => "depends on the arguments".to_owned(),
    };
    format!("| `{}({})` | {returns}{note} |\n", signature.name, signature.parameters)
}
