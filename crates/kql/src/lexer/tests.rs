use super::*;
#[test]
fn typed_literals_and_names_that_begin_with_a_digit() {
    let kinds = |text: &str| lex(text).tokens.iter().map(|t| t.token).collect::<Vec<_>>();
    assert_eq!(kinds("90th_Percentile"), [Token::Name, Token::End]);
    assert_eq!(kinds("datetime(2024-01-01)"), [Token::Typed(Type::Datetime), Token::End]);
}
