//! Texts to trees, shown as s-expressions.

use super::*;
use crate::syntax::*;
use crate::tests::check;

#[test]
fn texts_become_trees() {
    check("parser.txt", |input| {
        let parsed = parse(input);
        let mut lines: Vec<String> = parsed.statements.iter().map(statement).collect();
        lines.extend(parsed.diagnostics.iter().map(|found| format!("! {found}")));
        lines.join("\n")
    });
}

fn statement(shown: &Statement) -> String {
    match shown {
        Statement::Let { name, value } => format!("(let {} {})", name.text, expression(value)),
        Statement::Set { name, .. } => format!("(set {})", name.text),
        Statement::Parameters(list) => format!("(parameters{})", all(list, parameter)),
        Statement::Pattern { name, pattern } => {
            let case = |case: &PatternCase| {
                let path = case.path.as_ref().map_or(String::new(), expression);
                format!("({}; {path}{})", all(&case.values, expression), all(&case.body, statement))
            };
            let path = pattern.path.as_ref().map_or(String::new(), parameter);
            let parameters = all(&pattern.parameters, parameter);
            format!("(pattern {}{parameters}; {path}{})", name.text, all(&pattern.cases, case))
        }
        Statement::Other { what, .. } => format!("({what})"),
        Statement::Query(query) => pipeline(query),
    }
}

fn all<T>(list: &[T], show: impl Fn(&T) -> String) -> String {
    list.iter().map(|element| format!(" {}", show(element))).collect()
}

fn parameter(parameter: &Parameter) -> String {
    let default = parameter.default.as_ref().map(|d| format!("={}", expression(d)));
    format!("{}:{}{}", parameter.name.text, shape(&parameter.shape), default.unwrap_or_default())
}

fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(scalar) => scalar.to_string(),
        Shape::Table(columns) => format!("(table{})", all(columns, column)),
    }
}

fn column((name, column_type): &(Name, crate::Type)) -> String {
    format!("{}:{column_type}", name.text)
}

fn pipeline(pipeline: &Pipeline) -> String {
    let source = match &pipeline.source {
        Source::Expression(source) => expression(source),
        Source::Operator(source) => operator(source),
        Source::Input => "input".to_owned(),
    };
    if pipeline.operators.is_empty() {
        return source;
    }
    format!("(| {source}{})", all(&pipeline.operators, operator))
}

fn operator(operator: &Operator) -> String {
    let settings = all(&operator.settings, |setting| {
        format!("{}={}", setting.name.text, expression(&setting.value))
    });
    format!("({}{settings}{})", operator.name.text, body(&operator.body))
}

fn body(body: &Body) -> String {
    match body {
        Body::Nothing => String::new(),
        Body::Predicate(one) | Body::Number(one) | Body::Call(one) => {
            format!(" {}", expression(one))
        }
        Body::Items(items) => all(items, item),
        Body::Columns(keys) | Body::Sort(keys) => all(keys, ordered),
        Body::Summarize { aggregates, by } => {
            format!("{} by{}", all(aggregates, item), all(by, item))
        }
        Body::Top { count, by } => format!(" {} by{}", expression(count), all(by, ordered)),
        Body::SampleDistinct { count, of } => {
            format!(" {} of {}", expression(count), expression(of))
        }
        Body::Union(sources) => all(sources, expression),
        Body::Join { right, on } => format!(" {} on{}", expression(right), all(on, expression)),
        Body::Range { name, from, to, step } => {
            format!(" {} {} {} {}", name.text, expression(from), expression(to), expression(step))
        }
        Body::Datatable { columns, values } => {
            format!("{} :{}", all(columns, column), all(values, expression))
        }
        Body::MvExpand { items, limit } => format!("{}{}", all(items, expanded), maybe(limit)),
        Body::MvApply { items, limit, on } => {
            format!("{}{} on {}", all(items, expanded), maybe(limit), pipeline(on))
        }
        Body::Parse { source, parts } => format!(" {} with {parts:?}", expression(source))
            .replace("Name { text: ", "")
            .split(", span: Span")
            .map(|part| {
                part.split_once('}').map_or(part, |(_, rest)| rest.trim_start_matches(" }"))
            })
            .collect(),
        Body::Render { kind, properties } => {
            format!(
                " {}{}",
                kind.text,
                all(properties, |(name, text)| format!("{}={text}", name.text))
            )
        }
        Body::As(name) => format!(" {}", name.text),
        other => advanced(other),
    }
}

fn advanced(body: &Body) -> String {
    match body {
        Body::Evaluate { call, schema } => {
            let schema = schema.as_ref().map(|schema| {
                let star = if schema.with_input { " *" } else { "" };
                format!(" :{star}{}", all(&schema.columns, column))
            });
            format!(" {}{}", expression(call), schema.unwrap_or_default())
        }
        Body::MakeSeries(series) => {
            let aggregates = all(&series.aggregates, |(one, default)| {
                format!("{}{}", item(one), with("default", default))
            });
            let bounds = [with("from", &series.from), with("to", &series.to)].concat();
            let (axis, step) = (item(&series.axis), expression(&series.step));
            format!("{aggregates} on {axis}{bounds} step {step} by{}", all(&series.by, item))
        }
        Body::TopNested(levels) => all(levels, |level| {
            let order = if level.ascending { " asc" } else { "" };
            let (others, by) = (with("others", &level.others), item(&level.by));
            format!("({} of {}{others} by {by}{order})", with("", &level.count), item(&level.of))
        }),
        Body::MakeGraph(_) | Body::GraphMatch(_) | Body::GraphToTable(_) => graph(body),
        Body::TopHitters { count, of, by } => {
            format!(" {} of {}{}", expression(count), item(of), with("by", by))
        }
        Body::ParseKv { source, keys, options } => {
            let options =
                all(options, |(name, value)| format!("{}={}", name.text, expression(value)));
            format!(" {} as{} with{options}", expression(source), all(keys, column))
        }
        Body::Scan(scan) => {
            let steps = all(&scan.steps, |step| {
                let output = step.output.as_ref().map(|output| format!("={}", output.text));
                let (name, output) = (&step.name.text, output.unwrap_or_default());
                let assignments = all(&step.assignments, item);
                format!("({name}{output} {}{assignments})", expression(&step.condition))
            });
            format!("{}{steps}", all(&scan.declared, parameter))
        }
        Body::Partition { key, subquery } => format!(" {} {}", key.text, pipeline(subquery)),
        Body::Fork(branches) => all(branches, |(name, branch)| {
            let name = name.as_ref().map(|name| format!("{}=", name.text));
            format!("{}{}", name.unwrap_or_default(), pipeline(branch))
        }),
        Body::Facet { by, with } => {
            let with = with.as_ref().map(|with| format!(" with {}", pipeline(with)));
            format!("{}{}", all(by, |name| name.text.clone()), with.unwrap_or_default())
        }
        Body::Search { tables, predicate } => {
            format!(" in{} {}", all(tables, expression), expression(predicate))
        }
        Body::Find { tables, predicate, columns } => {
            let columns = all(columns, |(name, _)| name.text.clone());
            format!(" in{} {} project{columns}", all(tables, expression), expression(predicate))
        }
        _ => " raw".to_owned(),
    }
}

fn with(word: &str, one: &Option<Expression>) -> String {
    one.as_ref().map(|one| format!(" {word} {}", expression(one))).unwrap_or_default()
}

fn maybe(limit: &Option<Expression>) -> String {
    limit.as_ref().map(|limit| format!(" limit {}", expression(limit))).unwrap_or_default()
}

fn expanded(expanded: &Expanded) -> String {
    let to = expanded.to.map(|to| format!(":{to}")).unwrap_or_default();
    format!("{}{to}", item(&expanded.item))
}

fn item(item: &Item) -> String {
    let names: Vec<&str> = item.names.iter().map(|name| &*name.text).collect();
    match names.len() {
        0 => expression(&item.expression),
        _ => format!("(= {} {})", names.join(","), expression(&item.expression)),
    }
}

fn graph(body: &Body) -> String {
    match body {
        Body::MakeGraph(graph) => {
            let nodes = |(table, key): &(Expression, Expression)| {
                format!("({} on {})", expression(table), expression(key))
            };
            let id = graph.node_id.as_ref().map_or(String::new(), |id| format!(" {}", id.text));
            let ends = [&graph.source, &graph.target].map(expression).join(" ");
            format!(" {ends}{}{id}", all(&graph.nodes, nodes))
        }
        Body::GraphMatch(graph) => {
            let predicate = graph.predicate.as_ref().map_or(String::new(), expression);
            format!(
                "{} where {predicate} project{}",
                all(&graph.paths, path),
                all(&graph.items, item)
            )
        }
        Body::GraphToTable(tables) => all(tables, |table| {
            let what = if table.is_nodes { "nodes" } else { "edges" };
            let name = table.name.as_ref().map_or(String::new(), |name| format!(" {}", name.text));
            let ids = all(&table.ids, |(option, id)| format!("{}={}", option.text, id.text));
            format!("({what}{name}{ids})")
        }),
        _ => " raw".to_owned(),
    }
}

fn path(path: &GraphPath) -> String {
    let node = |name: &Option<Name>| name.as_ref().map_or("_".to_owned(), |name| name.text.clone());
    let step = |(step, to): &(GraphStep, Option<Name>)| {
        let length = step.length.map_or(String::new(), |(least, most)| format!("*{least}..{most}"));
        format!("{:?} {}{length} {}", step.direction, node(&step.name), node(to))
    };
    format!("({}{})", node(&path.first), all(&path.steps, step))
}

fn ordered(ordered: &Ordered) -> String {
    let direction = ordered.descending.map_or("", |down| if down { " desc" } else { " asc" });
    let nulls = ordered.nulls_first.map_or("", |first| if first { " first" } else { " last" });
    format!("{}{direction}{nulls}", item(&ordered.item))
}

fn expression(node: &Expression) -> String {
    match &node.kind {
        ExpressionKind::Literal(value, crate::Type::String) => format!("{:?}", value.to_string()),
        ExpressionKind::Literal(value, of) => format!("{of}:{value}"),
        ExpressionKind::Today(time) => format!("today:{time}"),
        ExpressionKind::Name(name) | ExpressionKind::Wildcard(name) => name.clone(),
        ExpressionKind::Star => "*".to_owned(),
        ExpressionKind::Member(object, name) => format!("(. {} {})", expression(object), name.text),
        ExpressionKind::Index(object, at) => {
            format!("([] {} {})", expression(object), expression(at))
        }
        ExpressionKind::Call { name, arguments } => {
            format!("({}{})", name.text, all(arguments, item))
        }
        ExpressionKind::Negate(inner) => format!("(- {})", expression(inner)),
        ExpressionKind::Binary(operation, left, right) => {
            format!("({} {} {})", operation.0, expression(left), expression(right))
        }
        ExpressionKind::List { test, negated, left, items } => {
            let not = if *negated { "not-" } else { "" };
            format!("({not}{test:?} {}{})", expression(left), all(items, expression))
        }
        ExpressionKind::Between { negated, value, low, high } => {
            let not = if *negated { "not-" } else { "" };
            format!("({not}between {} {} {})", expression(value), expression(low), expression(high))
        }
        ExpressionKind::Pipeline(inner) => pipeline(inner),
        ExpressionKind::Lambda { parameters, body, .. } => {
            format!("(lambda ({} ){})", all(parameters, parameter), all(body, statement))
        }
        ExpressionKind::TypeOf(of) => format!("(typeof {})", shape(of)),
        ExpressionKind::Error => "ERROR".to_owned(),
    }
}
