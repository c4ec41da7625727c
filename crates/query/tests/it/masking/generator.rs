//! Random queries over the whole grammar, asked by a masked reader.

use std::collections::BTreeMap;

use kql::{Access, Content, Rows};

use super::{PLANTED, assert_hidden, masked, planted, told, with};

/// Queries that are asked; `RANDOM_QUERIES=10000` asks more.
const QUERIES: u64 = 250;
/// Of so many, one is asked by somebody who may read content too, to see that it would show it.
const OPEN_EVERY: u64 = 25;
/// Longest pipeline.
const OPERATORS_MAX: usize = 5;

/// Dice that fall the same way for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// The rows so far: names of columns by type.
#[derive(Clone, Default)]
struct Columns {
    texts: Vec<String>,
    bags: Vec<String>,
    numbers: Vec<String>,
    times: Vec<String>,
}

impl Columns {
    fn of(table: &str) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match table {
            "Messages" => Self {
                texts: owned(&["Content", "Name", "Role", "CorrelationId", "ApimSubscriptionId"]),
                bags: Vec::new(),
                numbers: owned(&["SequenceNumber", "ChoiceIndex"]),
                times: owned(&["TimeGenerated"]),
            },
            "Interactions" => Self {
                texts: owned(&[
                    "RequestBody",
                    "ResponseBody",
                    "RequestBodySha256",
                    "CorrelationId",
                    "ModelName",
                ]),
                bags: owned(&[
                    "RequestHeaders",
                    "ResponseHeaders",
                    "BackendRequestHeaders",
                    "BackendResponseHeaders",
                    "RequestParameters",
                ]),
                numbers: owned(&["TotalTokens", "ResponseCode"]),
                times: owned(&["TimeGenerated"]),
            },
            "ApiManagementGatewayLogs" => Self {
                texts: owned(&[
                    "RequestBody",
                    "ResponseBody",
                    "BackendRequestBody",
                    "BackendResponseBody",
                    "CallerIpAddress",
                ]),
                bags: owned(&["RequestHeaders", "BackendResponseHeaders"]),
                numbers: owned(&["ResponseCode", "TotalTime"]),
                times: owned(&["TimeGenerated"]),
            },
            _ => Self {
                texts: owned(&["ModelName", "CorrelationId"]),
                bags: owned(&["RequestMessages", "ResponseMessages"]),
                numbers: owned(&["TotalTokens"]),
                times: owned(&["TimeGenerated"]),
            },
        }
    }
}

const TABLES: [&str; 4] =
    ["Messages", "Interactions", "ApiManagementGatewayLogs", "ApiManagementGatewayLlmLog"];

struct Generator {
    dice: Dice,
    names: usize,
    /// Operators of the query at hand.
    used: Vec<&'static str>,
}

impl Generator {
    fn query(&mut self) -> String {
        self.used.clear();
        let (source, mut columns) = self.source();
        let mut query = source;
        for _ in 0..=self.dice.below(OPERATORS_MAX) {
            let step = self.operator(&mut columns);
            query = format!("{query} | {step}");
        }
        match self.dice.below(12) {
            0 => format!("let q = {query}; q | take 5"),
            1 => format!("let m = materialize({query}); union m, (m | take 2)"),
            2 => format!("print x = toscalar({query} | project x = tostring(pack_all()) | take 1)"),
            3 => format!("let f = () {{ {query} }}; f() | count"),
            _ => query,
        }
    }

    fn source(&mut self) -> (String, Columns) {
        let table = self.dice.one(&TABLES);
        let columns = Columns::of(table);
        let source = match self.dice.below(9) {
            0 => format!("(union isfuzzy=true withsource=Source {table}, {table})"),
            1 => format!("table('{table}')"),
            2 => format!("database('gatehouse').{table}"),
            3 => format!("(search in ({table}) '{}')", self.word()),
            4 => format!(
                "find in ({table}) where {} project {}, pack(*)",
                self.condition(&columns),
                columns.texts[0]
            ),
            _ => table.to_owned(),
        };
        let columns = if source.contains("pack(*)") {
            Columns {
                texts: vec![columns.texts[0].clone()],
                bags: vec!["pack_".into()],
                ..Columns::default()
            }
        } else {
            columns
        };
        (source, columns)
    }

    fn word(&mut self) -> &'static str {
        self.dice.one(&["say", "xyz", "user", "gpt", "*plugh*", "a"])
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn column(&mut self, of: &[String], otherwise: &str) -> String {
        if of.is_empty() { otherwise.to_owned() } else { of[self.dice.below(of.len())].clone() }
    }

    fn text(&mut self, columns: &Columns, depth: usize) -> String {
        let column = self.column(&columns.texts, "'none'");
        if depth == 0 {
            return column;
        }
        let inner = self.text(columns, depth - 1);
        let bag = self.bag(columns, depth - 1);
        let number = self.number(columns, depth - 1);
        match self.dice.below(24) {
            0 => format!("strcat({inner}, '|', {column})"),
            1 => format!("substring({inner}, {number}, 40)"),
            2 => format!("toupper({inner})"),
            3 => format!("tostring({bag})"),
            4 => format!("extract('([a-z]+)', 1, {inner})"),
            5 => format!("replace_string({inner}, 'a', 'a')"),
            6 => format!("replace_regex({inner}, 'say', '')"),
            7 => format!("trim('[ s]', {inner})"),
            8 => format!("base64_decode_tostring(base64_encode_tostring({inner}))"),
            9 => format!("url_decode(url_encode({inner}))"),
            10 => format!("iff({}, {inner}, {column})", self.condition(columns)),
            11 => format!(
                "case({}, {inner}, {}, {column}, '')",
                self.condition(columns),
                self.condition(columns)
            ),
            12 => format!("coalesce({inner}, {column})"),
            13 => format!("reverse({inner})"),
            14 => format!("strcat_array(split({inner}, ' '), ',')"),
            15 => format!("tostring(split({inner}, ' ')[1])"),
            16 => format!("hash_sha256({inner})"),
            17 => format!("translate('s', 's', {inner})"),
            18 => format!("strrep({inner}, 2)"),
            19 => format!("tostring(parse_json({inner}))"),
            20 => format!("tostring(extract_json('$.messages[0].content', {inner}))"),
            21 => format!("gettype({bag})"),
            22 => format!("column_ifexists('{column}', '')"),
            _ => column,
        }
    }

    fn bag(&mut self, columns: &Columns, depth: usize) -> String {
        let column = self.column(&columns.bags, "dynamic({})");
        if depth == 0 {
            return column;
        }
        let (inner, text) = (self.bag(columns, depth - 1), self.text(columns, depth - 1));
        match self.dice.below(14) {
            0 => format!("parse_json({text})"),
            1 => format!("parse_json({text}).messages[0].content"),
            2 => format!("{column}['x-note']"),
            3 => format!("bag_pack('k', {text}, 'b', {inner})"),
            4 => format!("pack_array({text}, {inner})"),
            5 => "pack_all()".to_owned(),
            6 => format!("bag_merge({inner}, {column})"),
            7 => format!("bag_keys({inner})"),
            8 => format!("split({text}, ' ')"),
            9 => format!("extract_all('([a-z]+)', {text})"),
            10 => format!("array_concat(pack_array({inner}), pack_array({text}))"),
            11 => format!("todynamic(tostring({inner}))"),
            12 => format!("array_slice(split({text}, ''), 0, 20)"),
            _ => column,
        }
    }

    fn number(&mut self, columns: &Columns, depth: usize) -> String {
        let column = self.column(&columns.numbers, "3");
        if depth == 0 {
            return column;
        }
        let (text, bag) = (self.text(columns, depth - 1), self.bag(columns, depth - 1));
        match self.dice.below(10) {
            0 => format!("strlen({text})"),
            1 => format!("indexof({text}, '{}')", self.word()),
            2 => format!("countof({text}, 'a')"),
            3 => format!("array_length({bag})"),
            4 => format!("toint({text})"),
            5 => format!("hash({text})"),
            6 => format!("{column} % 7"),
            7 => format!("1 / ({column} % 2)"),
            8 => format!("unicode_codepoints_from_string({text})[0]"),
            _ => column,
        }
    }

    fn condition(&mut self, columns: &Columns) -> String {
        let (text, number) = (self.text(columns, 1), self.number(columns, 1));
        let word = self.word();
        match self.dice.below(12) {
            0 => format!("{text} has '{word}'"),
            1 => format!("{text} contains 'plugh'"),
            2 => format!("{text} !contains '{word}'"),
            3 => format!("{text} startswith 's'"),
            4 => format!("{text} matches regex '[a-z]+'"),
            5 => format!("{text} in ('{word}', 'user')"),
            6 => format!("{text} has_any ('{word}', 'plugh')"),
            7 => format!("{text} =~ 'USER' or {number} > 1"),
            8 => format!("isnotempty({text}) and {number} >= 0"),
            9 => format!("not({text} has '{word}')"),
            10 => format!("{number} between (0 .. 400)"),
            _ => "true".to_owned(),
        }
    }

    fn aggregate(&mut self, columns: &Columns) -> String {
        let (text, bag, number) =
            (self.text(columns, 1), self.bag(columns, 1), self.number(columns, 1));
        let time = self.column(&columns.times, "now()");
        match self.dice.below(18) {
            0 => format!("max({text})"),
            1 => format!("min({text})"),
            2 => format!("make_list({text})"),
            3 => format!("make_set({text})"),
            4 => format!("take_any({text})"),
            5 => format!("arg_max({time}, *)"),
            6 => format!("arg_min({text}, *)"),
            7 => format!("dcount({text})"),
            8 => format!("countif({})", self.condition(columns)),
            9 => format!("sum({number})"),
            10 => format!("percentile({number}, 50)"),
            11 => format!("make_bag({bag})"),
            12 => format!("make_list({bag})"),
            13 => format!("buildschema({bag})"),
            14 => format!("make_list_if({text}, {})", self.condition(columns)),
            15 => format!("make_set(tostring({bag}))"),
            16 => format!("avg({number})"),
            _ => "count()".to_owned(),
        }
    }

    fn operator(&mut self, columns: &mut Columns) -> String {
        let word = self.word();
        let (kind, text) =
            self.row_operator(columns, word).unwrap_or_else(|| self.shape_operator(columns));
        self.used.push(kind);
        text
    }

    /// Operators that keep the columns, or add some.
    #[expect(clippy::too_many_lines, reason = "a list of operators, each a few lines")]
    fn row_operator(
        &mut self,
        columns: &mut Columns,
        word: &str,
    ) -> Option<(&'static str, String)> {
        Some(match self.dice.below(22) {
            0 => ("where", format!("where {}", self.condition(columns))),
            // Whatever the predicate says, rows go on.
            1 => (
                "where",
                format!(
                    "where {} or strlen({}) >= 0",
                    self.condition(columns),
                    self.text(columns, 1)
                ),
            ),
            2 => ("extend", {
                let (name, text) = (self.name(), self.text(columns, 2));
                columns.texts.push(name.clone());
                format!("extend {name} = {text}")
            }),
            3 => ("extend", {
                let (name, bag) = (self.name(), self.bag(columns, 2));
                columns.bags.push(name.clone());
                format!("extend {name} = {bag}")
            }),
            4 => ("sort", format!("sort by {} desc", self.text(columns, 1))),
            5 => ("top", format!("top 3 by {} asc", self.text(columns, 1))),
            6 => ("take", "take 4".to_owned()),
            7 => ("sample", "sample 3".to_owned()),
            8 => ("mv-expand", {
                let (name, bag) = (self.name(), self.bag(columns, 1));
                columns.bags.push(name.clone());
                format!("mv-expand {name} = {bag}")
            }),
            9 => ("mv-apply", {
                let (name, bag) = (self.name(), self.bag(columns, 1));
                columns.bags.push(name.clone());
                format!("mv-apply {name} = {bag} on (take 2)")
            }),
            10 => ("parse", {
                let (name, text) = (self.name(), self.text(columns, 1));
                columns.texts.push(name.clone());
                let operator = self.dice.one(&["parse", "parse-where"]);
                format!("{operator} {text} with * 'say ' {name}:string ' ' *")
            }),
            11 => ("parse-kv", {
                let text = self.column(&columns.texts, "'a=b'");
                let name = self.name();
                columns.texts.push(name.clone());
                format!(
                    "parse-kv {text} as ({name}:string) with (pair_delimiter=',', kv_delimiter=':')"
                )
            }),
            12 => ("serialize", {
                let (name, text) = (self.name(), self.column(&columns.texts, "'a'"));
                columns.texts.push(name.clone());
                let window = self.dice.one(&["prev", "next"]);
                format!("serialize {name} = {window}({text})")
            }),
            13 => ("join", {
                let key = self.column(&columns.texts, "'a'");
                let kind = self.dice.one(&[
                    "inner",
                    "innerunique",
                    "leftouter",
                    "leftsemi",
                    "leftanti",
                    "fullouter",
                ]);
                format!(
                    "join kind={kind} (Messages | project {key} = {}, j = Content) on {key}",
                    self.dice.one(&["Name", "Content", "CorrelationId"])
                )
            }),
            14 => ("lookup", {
                let key = self.column(&columns.texts, "'a'");
                format!("lookup (Messages | project {key} = CorrelationId, l = Content) on {key}")
            }),
            15 => (
                "union",
                format!("union (Messages | where Content has '{word}' | project Content, Name)"),
            ),
            16 => ("as", {
                let name = self.name();
                format!("as {name}")
            }),
            17 => ("search", format!("search '{word}'")),
            18 => (
                "partition",
                format!("partition by {} (take 2)", self.column(&columns.texts, "'a'")),
            ),
            19 => ("scan", {
                let (name, text) = (self.name(), self.column(&columns.texts, "'a'"));
                columns.texts.push(name.clone());
                format!(
                    "sort by {text} asc | scan declare ({name}:string='') with (step s: true => {name} = {text};)"
                )
            }),
            _ => return None,
        })
    }

    /// A graph of the rows, and something asked of it.
    fn graph(&mut self, columns: &mut Columns) -> (&'static str, String) {
        let extra = self.name();
        let (from, to) = (self.column(&columns.texts, &extra), self.column(&columns.texts, &extra));
        let (node, edge_text) = (self.name(), self.text(columns, 0));
        let own = Columns { texts: vec![node.clone()], ..Columns::default() };
        let filter = self.condition(&own);
        let (a, b, c) = (self.name(), self.name(), self.name());
        let graph = format!(
            "take 8 | extend {extra} = {edge_text} | make-graph {from} --> {to} with_node_id={node}"
        );
        *columns = Columns { texts: vec![a.clone(), b.clone()], ..Columns::default() };
        let ends = format!("project {a} = x.{node}, {b} = y.{node}");
        let cycles = self.dice.one(&["", "cycles=all ", "cycles=none ", "cycles=unique_edges "]);
        let (kind, asked) = match self.dice.below(6) {
            0 | 1 => {
                let edge = self.dice.one(&["-[e]->", "<-[e]-", "-[e]-"]);
                let other = self.dice.one(&["", ", (y)--(z)", "-->(z)<--(w)"]);
                columns.texts.push(c.clone());
                ("graph-match", format!("{cycles}(x){edge}(y){other} {ends}, {c} = e.{extra}"))
            }
            2 | 3 => {
                let edge = self.dice.one(&["-[e*1..2]->", "<-[e*0..2]-", "-[e*1..3]-"]);
                let test = self.dice.one(&[
                    "true",
                    "x.CHANGED != y.CHANGED",
                    "all(inner_nodes(e), CHANGED has 'say')",
                    "any(e, EDGE contains 'plugh') or node_degree_in(x) > 1",
                ]);
                let test = test.replace("CHANGED", &node).replace("EDGE", &extra);
                columns.bags.push(c.clone());
                let way = format!("{c} = map(e, {extra})");
                ("graph-match", format!("{cycles}(x){edge}(y) where {test} {ends}, {way}"))
            }
            4 => ("graph-shortest-paths", format!("(x)-[e*1..3]-(y) {ends}")),
            _ => {
                *columns = Columns { texts: vec![node.clone()], ..Columns::default() };
                let marked = format!("kind=weak | graph-where-nodes {filter}");
                return (
                    "graph-mark-components",
                    format!("{graph} | graph-mark-components {marked} | graph-to-table nodes"),
                );
            }
        };
        (kind, format!("{graph} | graph-where-nodes {filter} | {kind} {asked}"))
    }

    /// Operators that answer other columns.
    #[expect(clippy::too_many_lines, reason = "a list of operators, each a few lines")]
    fn shape_operator(&mut self, columns: &mut Columns) -> (&'static str, String) {
        match self.dice.below(15) {
            0 | 1 => ("summarize", {
                let (name, by) = (self.name(), self.name());
                let aggregate = self.aggregate(columns);
                let group = self.text(columns, 1);
                *columns = Columns { texts: vec![by.clone()], ..Columns::default() };
                let named = if aggregate.contains('*') {
                    aggregate
                } else {
                    format!("{name} = {aggregate}")
                };
                format!("summarize {named} by {by} = {group}")
            }),
            2 | 3 => ("project", {
                let (a, b, c) = (self.name(), self.name(), self.name());
                let (text, bag, number) =
                    (self.text(columns, 2), self.bag(columns, 2), self.number(columns, 2));
                *columns = Columns {
                    texts: vec![a.clone()],
                    bags: vec![b.clone()],
                    numbers: vec![c.clone()],
                    times: Vec::new(),
                };
                format!("project {a} = {text}, {b} = {bag}, {c} = {number}")
            }),
            4 => ("distinct", {
                let text = self.column(&columns.texts, "*");
                *columns = Columns { texts: vec![text.clone()], ..Columns::default() };
                format!("distinct {text}")
            }),
            5 => ("count", {
                *columns = Columns { numbers: vec!["Count".into()], ..Columns::default() };
                "count".to_owned()
            }),
            6 => ("bag_unpack", {
                let bag = self.column(&columns.bags, "dynamic({})");
                columns.bags.retain(|name| *name != bag);
                format!("evaluate bag_unpack({bag}, 'u_')")
            }),
            7 => ("pivot", {
                let text = self.column(&columns.texts, "'a'");
                let kept = format!("project {text} | evaluate pivot({text})");
                *columns = Columns::default();
                kept
            }),
            8 => ("narrow", {
                let text = self.column(&columns.texts, "'a'");
                *columns =
                    Columns { texts: vec!["Column".into(), "Value".into()], ..Columns::default() };
                format!("project {text} | evaluate narrow()")
            }),
            9 => ("top-nested", {
                let text = self.column(&columns.texts, "'a'");
                *columns = Columns::default();
                format!("top-nested 3 of {text} by count()")
            }),
            10 => ("make-series", {
                let (by, number) = (self.column(&columns.texts, "'a'"), self.number(columns, 1));
                let series = format!(
                    "make-series m = sum({number}) default=0 on TimeGenerated from ago(1d) to now() step 12h by {by}"
                );
                *columns = Columns { texts: vec![by], ..Columns::default() };
                series
            }),
            11 => ("getschema", {
                *columns = Columns { texts: vec!["ColumnName".into()], ..Columns::default() };
                "getschema".to_owned()
            }),
            12 | 13 => self.graph(columns),
            _ => ("top-hitters", {
                let text = self.column(&columns.texts, "'a'");
                *columns = Columns { texts: vec![text.clone()], ..Columns::default() };
                format!("top-hitters 3 of {text}")
            }),
        }
    }
}

#[test]
fn random_queries_of_the_whole_grammar_show_a_masked_reader_nothing() {
    let asked = std::env::var("RANDOM_QUERIES").ok().and_then(|count| count.parse().ok());
    let queries = asked.unwrap_or(QUERIES);
    let fixture = planted();
    let mut generator = Generator { dice: Dice(11), names: 0, used: Vec::new() };
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut answered, mut would_show) = (0, 0);
    let everything = with(Access { rows: Rows::All, content: Content::Readable });
    for number in 0..queries {
        let query = generator.query();
        let answer = fixture.run_with(&query, &masked());
        assert_hidden(&query, &answer);
        if let Ok(frame) = &answer {
            answered += 1;
            assert!(frame.content_columns.is_empty(), "{query}");
            generator.used.iter().for_each(|kind| *ran.entry(kind).or_default() += 1);
        }
        if number % OPEN_EVERY == 0 {
            would_show += u64::from(told(&fixture.run_with(&query, &everything)).contains(PLANTED));
        }
    }
    assert!(answered > queries / 2, "{answered} answered");
    assert!(would_show > queries / OPEN_EVERY / 6, "only {would_show} would show anything");
    assert!(ran.len() >= 27 && ran.values().all(|count| *count >= 1), "{ran:?}");
}
