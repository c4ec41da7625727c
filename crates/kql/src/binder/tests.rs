//! Queries to names, types and diagnostics; bounds; random texts.

use proptest::prelude::*;

use crate::tests::check;
use crate::{Catalogue, Column, Options, QueryErrorKind, Schema, Type, compile};
use std::sync::Arc;

/// The tables of the examples.
struct Tables;

const STORM: &str = "StartTime:datetime EndTime:datetime EpisodeId:int EventId:int State:string \
    EventType:string InjuriesDirect:int DamageProperty:int DamageCrops:int EventNarrative:string \
    BeginLat:real StormSummary:dynamic";

const GATEWAY: &str = "TimeGenerated:datetime OperationId:string CallerIpAddress:string \
    CorrelationId:string Url:string TotalTime:long ResponseCode:int BackendResponseBody:string ResponseHeaders:dynamic IsRequestSuccess:bool";

const LLM: &str = "TimeGenerated:datetime CorrelationId:string SequenceNumber:int ModelName:string \
    DeploymentName:string PromptTokens:int CompletionTokens:int TotalTokens:int \
    RequestMessages:dynamic ResponseMessages:dynamic";

impl Catalogue for Tables {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        let columns = match name {
            "StormEvents" => STORM,
            "ApiManagementGatewayLogs" => GATEWAY,
            "ApiManagementGatewayLlmLog" => LLM,
            _ => return None,
        };
        let column = |text: &str| {
            let (name, of) = text.split_once(':').unwrap();
            Column::new(name, Type::from_name(of).unwrap())
        };
        Some(Arc::new(Schema::new(columns.split_whitespace().map(column).collect())))
    }

    fn table_names(&self) -> Vec<String> {
        ["ApiManagementGatewayLlmLog", "ApiManagementGatewayLogs", "StormEvents"]
            .map(String::from)
            .into()
    }
}

#[test]
fn queries_have_names_and_types() {
    check("binder.txt", |input| match compile(input, &Tables, &Options::default()) {
        Ok(plan) => {
            let mut text = String::new();
            for result in &plan.results {
                for column in &result.relation.schema.columns {
                    text += &format!("{}:{}\n", column.name, column.column_type);
                }
                if let Some(name) = &result.name {
                    text += &format!("as {name}\n");
                }
                if let Some(visualization) = &result.visualization {
                    text += &format!("render {visualization:?}\n");
                }
            }
            text
        }
        Err(error) => format!("! {error}"),
    });
}

#[test]
fn mistakes_are_explained() {
    check("diagnostics.txt", |input| {
        let Err(error) = compile(input, &Tables, &Options::default()) else {
            return "no mistake".to_owned();
        };
        let lines: Vec<String> = error.diagnostics().iter().map(ToString::to_string).collect();
        lines.join("\n")
    });
}

#[test]
fn the_usage_query_has_the_published_columns() {
    let cases = include_str!("../../testdata/binder.txt");
    let query = cases.split("\n----\n").next().unwrap();
    let plan = compile(query, &Tables, &Options::default()).unwrap();
    let expected = "(ip:string, model:string, sum_prompttokens:decimal, \
        sum_completiontokens:decimal, sum_totaltokens:decimal, avg_totaltokens:decimal)";
    assert_eq!(plan.results[0].relation.schema.to_string(), expected);
}

#[test]
fn query_parameters_take_their_values_from_the_options() {
    let query = "declare query_parameters(n:long, s:string = 'd'); print n, s";
    let mut options = Options::default();
    assert!(compile(query, &Tables, &options).is_err());
    options.parameters.insert("n".to_owned(), "5".to_owned());
    let plan = compile(query, &Tables, &options).unwrap();
    assert_eq!(plan.results[0].relation.schema.to_string(), "(print_0:long, print_1:string)");
    options.parameters.insert("n".to_owned(), "StormEvents".to_owned());
    assert!(compile(query, &Tables, &options).is_err());
}

fn kind_of(query: &str) -> Option<QueryErrorKind> {
    compile(query, &Tables, &Options::default()).err().map(|error| error.kind())
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let limit = Some(QueryErrorKind::LimitExceeded);
    assert_eq!(kind_of(&format!("print {}1{}", "(".repeat(5_000), ")".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("print {}1", "-".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("print x = 1{}", " + 1".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("print d = dynamic(1){}", ".a".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("print {}1", "not(".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("print dynamic({}", "[".repeat(5_000))), limit);
    assert_eq!(kind_of(&format!("StormEvents{}", " | take 1".repeat(5_000))), limit);
    assert_eq!(kind_of(&" ".repeat(crate::QUERY_BYTES_MAX + 1)), limit);
    let doubling: String =
        (1..60).map(|n| format!("let x{n} = x{} + x{};", n - 1, n - 1)).collect();
    assert_eq!(kind_of(&format!("let x0 = rand();{doubling} print x59")), limit);
    let chained: String = (1..400).map(|n| format!("let x{n} = x{} + 1;", n - 1)).collect();
    assert_eq!(kind_of(&format!("let x0 = rand();{chained} print x399")), limit);
    let nested: String = (1..2_000)
        .map(|n| {
            format!(
                "let x{n} = toscalar(StormEvents | where EventId == x{} | project EventId);",
                n - 1
            )
        })
        .collect();
    assert_eq!(kind_of(&format!("let x0 = 1;{nested} print x1999")), limit);
    let lambdas: String =
        (1..300).map(|n| format!("let f{n} = () {{ f{}() + 1 }};", n - 1)).collect();
    assert_eq!(kind_of(&format!("let f0 = () {{ 1 }};{lambdas} print f299()")), limit);
}

#[test]
fn what_is_merely_large_is_accepted() {
    let terms = " or State == 'x'".repeat(3_000);
    assert_eq!(kind_of(&format!("StormEvents | where State == 'y'{terms}")), None);
    assert_eq!(kind_of(&format!("datatable(a:long)[{}]", "1,".repeat(100_000))), None);
    assert_eq!(kind_of(&format!("StormEvents | where EventId in ({})", "1,".repeat(20_000))), None);
    assert_eq!(kind_of(&format!("print x = 1{}", " + 1".repeat(100))), None);
    let lets: String = (0..2_000).map(|n| format!("let a{n} = {n};")).collect();
    assert_eq!(kind_of(&format!("{lets} print a1999")), None);
}

/// Pieces of queries, apart by blanks.
const PIECES: &str = r#"StormEvents | | | where summarize by extend project ( ( ) ) [ ] { } , , ; =
    == State EventId StormSummary . 'a' 1 1d 5x let x datatable : long join kind on $left $right union
    * mv-expand mv-apply to typeof parse with in between .. count() iff( bin( arg_max( dynamic(
    datetime( null - + sort order desc nulls first take top print range from step render partition as '
    " ``` !in has_any é \ make-series fork invoke lookup distinct toscalar( materialize( percentiles(
    prev( row_number() getschema declare query_parameters project-away project-reorder parse-where _
    e* *e // sample-distinct of serialize column_ifexists( pack_all() case( take_any( not( and or scan declare step s1: s1.EventId => output=all top-nested others by
    top-hitters parse-kv search find evaluate bag_unpack( pivot( narrow() ipv4_lookup( facet consume
    series_stats( series_fir( array_sort_asc( from default in view () { } on typeof( * : "#;

/// Pieces of queries in any order.
fn soup() -> impl Strategy<Value = String> {
    let words: Vec<&str> = PIECES.split_whitespace().collect();
    prop::collection::vec(prop::sample::select(words), 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_text_makes_it_panic(text in soup()) {
        if let Err(error) = compile(&text, &Tables, &Options::default()) {
            prop_assert!(!error.diagnostics().is_empty(), "an error says why: {text}");
        }
    }

    #[test]
    fn no_characters_make_it_panic(text in ".{0,80}") {
        let _ = compile(&text, &Tables, &Options::default());
    }
}
