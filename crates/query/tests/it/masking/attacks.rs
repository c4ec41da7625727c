//! Ways around a mask, one by one. Each shows the planted word to whoever may read it, and nothing of
//! it to a masked reader; what it answers is what it would of empty columns.

use kql::{Access, Frame, QueryError};

use super::{PLANTED, assert_hidden, masked, planted, told, with};
use crate::Fixture;

/// Shows the word to whoever may read it; none of it to others.
const SHOWING: &[(&str, &str)] = &[
    ("by name", "Messages | project Content"),
    ("renamed", "Messages | project-rename Innocent = Content | project Innocent"),
    ("computed", "Messages | extend x = strcat('<', Content, '>') | project x"),
    ("piecewise", "Messages | project x = substring(Content, 4, 10) | distinct x"),
    ("reversed", "Messages | project x = reverse(reverse(Content))"),
    ("encoded", "Messages | project x = base64_decode_tostring(base64_encode_tostring(Content))"),
    ("split", "Messages | mv-expand w = split(Content, ' ') | project tostring(w)"),
    ("extract", "Messages | project x = extract('say ([a-z]+)', 1, Content)"),
    ("extract_all", "Messages | project x = extract_all('([a-z]+)', Content)"),
    ("replace", "Messages | project x = replace_regex(Content, 'say', '')"),
    ("parse", "Messages | parse Content with 'say ' word:string ' ' * | project word"),
    ("parse-where", "Messages | parse-where Content with 'say ' word:string ' ' * | project word"),
    ("parse_json", "Interactions | project x = parse_json(RequestBody).messages[0].content"),
    (
        "parse_json of an answer",
        "ApiManagementGatewayLogs | project x = parse_json(BackendResponseBody)['choices'][0]",
    ),
    ("messages of a view", "ApiManagementGatewayLlmLog | project RequestMessages"),
    ("todynamic", "Interactions | extend h = todynamic(RequestHeaders) | project h['x-note']"),
    (
        "bag_unpack",
        "Interactions | project Kind, RequestHeaders | evaluate bag_unpack(RequestHeaders)",
    ),
    (
        "bag_unpack by parameters",
        "Interactions | project Kind, p = RequestParameters | evaluate bag_unpack(p, 'a_')",
    ),
    (
        "pivot makes names of values",
        "Messages | where Name != '' | evaluate pivot(Name, count(), Role)",
    ),
    ("narrow", "Messages | project Content | evaluate narrow()"),
    ("mv-expand", "Interactions | mv-expand m = parse_json(RequestBody).messages | project m"),
    (
        "mv-apply",
        "Interactions | mv-apply m = parse_json(RequestBody).messages on (project tostring(m.content))",
    ),
    ("max", "Messages | summarize max(Content)"),
    ("min", "Messages | summarize min(Name)"),
    ("take_any", "Messages | summarize take_any(Content), take_any(*)"),
    ("arg_max", "Messages | summarize arg_max(TimeGenerated, *)"),
    ("arg_min of content", "Messages | summarize arg_min(Content, Role)"),
    ("make_list", "Messages | summarize make_list(Content)"),
    ("make_set", "Messages | summarize make_set(Name)"),
    ("make_bag", "Interactions | summarize make_bag(RequestHeaders)"),
    (
        "make_list of bags",
        "Interactions | summarize make_list(pack_all()) | project x = tostring(list_)",
    ),
    ("pack_all", "Messages | project x = pack_all()"),
    ("pack_dictionary", "Messages | project x = bag_pack('c', Content)"),
    (
        "buildschema",
        "Interactions | summarize buildschema(RequestHeaders), make_set(tostring(RequestHeaders))",
    ),
    ("by the group", "Messages | summarize count() by Content"),
    ("by part of it", "Messages | summarize count() by x = substring(Content, 4, 10)"),
    ("distinct", "Messages | distinct Content"),
    ("top-nested", "Messages | top-nested 5 of Content by count()"),
    ("top-hitters", "Messages | top-hitters 3 of Content"),
    ("top", "Messages | top 3 by Content desc | project Content"),
    (
        "join carries it",
        "Interactions | project CorrelationId | join kind=inner (Messages | project CorrelationId, Content) on CorrelationId | project Content",
    ),
    (
        "join by it",
        "Messages | project a = Name | join kind=inner (Messages | project a = Name, Role) on a | distinct a",
    ),
    (
        "lookup",
        "Interactions | project CorrelationId | lookup (Messages | project CorrelationId, Content) on CorrelationId | project Content",
    ),
    ("union", "union Interactions, Messages | project Content, RequestBody"),
    ("union of all", "union withsource=T * | project T, Content, RequestBody"),
    ("union by pattern", "union M* | project Content"),
    ("search", "search 'say' | project Content"),
    ("search in a column", "search Content has 'say' | project Content"),
    ("find", "find in (Messages) where Content has 'say' project Content"),
    ("find packs the rest", "find in (Messages) where Content has 'say' project Role, pack(*)"),
    ("let", "let m = Messages | project Content; m"),
    ("a function", "let f = (T:(Content:string)) { T | project x = Content }; f(Messages)"),
    ("a view", "let v = view () { Messages | project Content }; v()"),
    ("materialize", "let m = materialize(Messages | project Content); m | take 3"),
    ("toscalar", "print x = toscalar(Messages | summarize make_list(Content))"),
    ("invoke", "let f = (T:(Content:string)) { T | project Content }; Messages | invoke f()"),
    ("as", "Messages | as m | union (m | project Content) | project Content"),
    ("database()", "database('gatehouse').Messages | project Content"),
    ("table()", "table('Messages') | project Content"),
    ("several statements", "print 1; Messages | project Content"),
    ("partition", "Messages | partition by Role (project Content)"),
    ("fork", "Messages | fork (project Content) (count)"),
    ("facet", "Messages | facet by Content with (take 1)"),
    ("serialize", "Messages | sort by TimeGenerated asc | extend x = prev(Content) | project x"),
    (
        "scan",
        "Messages | sort by TimeGenerated asc | scan declare (last:string='') with (step s: true => last = Content;) | project last",
    ),
    (
        "make-series",
        "Messages | make-series x = take_any(strlen(Content)) on TimeGenerated from ago(1d) to now() step 1d by Content | project Content",
    ),
    ("case", "Messages | project x = case(Content has 'say', Content, 'no')"),
    ("coalesce", "Messages | project x = coalesce(Content, 'no')"),
    ("column_ifexists", "Messages | project x = column_ifexists('Content', '')"),
    ("by pattern of names", "Messages | project-keep Con*"),
    ("reorder", "Messages | project-reorder Content | project Content"),
    ("zip", "Messages | project x = array_concat(pack_array(Content), pack_array(Role))"),
    ("todecimal of text", "Messages | project x = iff(isnull(todecimal(Content)), Content, '')"),
    ("url", "Messages | project x = url_decode(url_encode(Content))"),
    (
        "hash confirms",
        "Messages | where hash_sha256(Name) == hash_sha256('xyzzy' 'plugh') | project Name",
    ),
    ("sha of the body", "Interactions | project RequestBodySha256"),
    ("parameters", "Interactions | project RequestParameters.user"),
    ("render", "Messages | project Content, 1 | render table"),
];

/// Answers yes or no by the word; a masked reader gets the same as of a word that is nowhere.
const ASKING: &[&str] = &[
    "Messages | where Content has 'WORD' | count",
    "Messages | where Content contains 'WORD' | count",
    "Messages | where Content startswith 'say WORD' | count",
    "Messages | where Content matches regex '.*WORD.*' | count",
    "Messages | where Name == 'WORD' | count",
    "Messages | where Name in ('WORD') | count",
    "Messages | where Name between ('WORD' .. 'WORDz') | count",
    "Messages | where Content has_any ('WORD') | count",
    "Messages | where * has 'WORD' | count",
    "search 'WORD' | count",
    "search in (Messages) 'WORD' | count",
    "find in (Messages, Interactions) where RequestBody has 'WORD' | count",
    "Messages | where indexof(Content, 'WORD') >= 0 | count",
    "Messages | summarize countif(Content has 'WORD')",
    "Messages | summarize dcountif(CorrelationId, Content has 'WORD')",
    "Messages | summarize percentile(strlen(Content), 50), countif(Content has 'WORD')",
    "Interactions | where RequestHeaders['x-note'] == 'WORD' | count",
    "Interactions | where parse_json(RequestBody).messages[0].content == 'WORD' | count",
    "Interactions | where RequestBodySha256 == 'WORD' | count",
    "Messages | join kind=inner (print Name = 'WORD') on Name | count",
    "Messages | join kind=anti (print Name = 'WORD') on Name | count",
    "print x = toscalar(Messages | where Content has 'WORD' | count)",
    "Interactions | where CorrelationId in (Messages | where Content has 'WORD' | project CorrelationId) | count",
    "Messages | where assert(Content !has 'WORD', 'found') | count",
    "Messages | project x = range(0, iff(Content has 'WORD', 100, 0), 1) | mv-expand x | count",
    "Messages | top 1 by indexof(Content, 'WORD') desc | project CorrelationId, n = indexof(Content, 'WORD')",
    "Messages | sort by indexof(Content, 'WORD') desc, CorrelationId asc | project CorrelationId",
    "Messages | extend n = 1 / iff(Content has 'WORD', 0, 1) | summarize sum(n)",
    "Messages | where Role matches regex iff(Content has 'WORD', '(', 'u') | count",
    "Messages | make-series n = countif(Content has 'WORD') default=0 on TimeGenerated step 1h",
    "Messages | evaluate pivot(Content) | getschema | count",
    "Interactions | summarize buildschema(RequestHeaders)",
];

#[test]
fn no_attack_shows_content_to_a_masked_reader() {
    let fixture = planted();
    let mut shown = 0;
    for (name, query) in SHOWING {
        let open = fixture.run_with(query, &with(Access::everything()));
        let is_refused = open.is_err();
        assert!(is_refused || told(&open).contains(PLANTED), "{name} shows nothing: {query}");
        shown += usize::from(!is_refused);
        let answer = fixture.run_with(query, &masked());
        assert_hidden(query, &answer);
        assert!(answer.is_ok() || is_refused, "{name}: {}", told(&answer));
    }
    assert!(shown >= SHOWING.len() - 6, "only {shown} of {} run at all", SHOWING.len());
}

#[test]
fn no_question_about_content_is_answered_to_a_masked_reader() {
    let fixture = planted();
    let mut told_apart = 0;
    for asking in ASKING {
        let [found, missing] = [PLANTED, "nowherenada"].map(|word| asking.replace("WORD", word));
        told_apart += usize::from(
            outcome(&fixture, &found, &with(Access::everything()))
                != outcome(&fixture, &missing, &with(Access::everything())),
        );
        let (yes, no) =
            (outcome(&fixture, &found, &masked()), outcome(&fixture, &missing, &masked()));
        assert_eq!(yes, no, "{asking}");
    }
    assert!(told_apart >= 25, "only {told_apart} of {} tell anything", ASKING.len());
}

/// What a caller learns: rows or the error, without the word that was asked for.
fn outcome(fixture: &Fixture, query: &str, options: &kql::Options) -> String {
    let answer: Result<Frame, QueryError> = fixture.run_with(query, options);
    let answer = match answer {
        Ok(frame) => {
            format!("{:?} {:?} {}", frame.columns, frame.rows, frame.statistics.rows_scanned)
        }
        // Not where the word ends in the query: that is known to whoever asks.
        Err(error) => {
            format!("{:?} {} {:?}", error.kind(), error.message(), error.content_columns())
        }
    };
    answer.replace(PLANTED, "").replace("nowherenada", "")
}
