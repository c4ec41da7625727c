//! The shapes of the commonest events, borrowed from the text they were read from.
//!
//! A stream repeats its ids and filter verdicts in every event, so nothing but what is new is copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A string, borrowed where it has no escapes. (`Option<Cow<str>>` would always be copied.)
#[derive(Clone, Debug, Default)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An object with members we know, and all others raw. Derived `Deserialize` would lose the others,
/// and `flatten` would copy everything.
macro_rules! object {
    ($(#[doc = $doc:literal])* $name:ident { $( $field:ident: $type:ty = $key:literal, )* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<'a> {
            $( pub(crate) $field: Option<$type>, )*
            pub(crate) others: Vec<(Text<'a>, &'a RawValue)>,
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a>(std::marker::PhantomData<&'a ()>);
                impl<'de: 'a, 'a> Visitor<'de> for ObjectVisitor<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<Text<'de>>()? {
                            match key.0.as_ref() {
                                $( $key => object.$field = map.next_value()?, )*
                                _ => object.others.push((key, map.next_value()?)),
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            }
        }
    };
}

object! {
    /// A chunk of a chat or of a legacy completion.
    Chunk {
        choices: Vec<Choice<'a>> = "choices",
        id: &'a RawValue = "id",
        model: &'a RawValue = "model",
        created: &'a RawValue = "created",
        object: &'a RawValue = "object",
        usage: &'a RawValue = "usage",
        error: &'a RawValue = "error",
        obfuscation: &'a RawValue = "obfuscation",
    }
}

object! {
    /// One choice of a chunk.
    Choice {
        index: u32 = "index",
        delta: Delta<'a> = "delta",
        text: Text<'a> = "text",
        finish_reason: Text<'a> = "finish_reason",
        logprobs: &'a RawValue = "logprobs",
        content_filter_results: &'a RawValue = "content_filter_results",
        content_filter_offsets: &'a RawValue = "content_filter_offsets",
    }
}

object! {
    /// What a chunk adds to a message.
    Delta {
        role: Text<'a> = "role",
        content: Text<'a> = "content",
        refusal: Text<'a> = "refusal",
        tool_calls: Vec<ToolCall<'a>> = "tool_calls",
        function_call: Function<'a> = "function_call",
    }
}

object! {
    /// What a chunk adds to a tool call.
    ToolCall {
        index: u32 = "index",
        id: Text<'a> = "id",
        kind: Text<'a> = "type",
        function: Function<'a> = "function",
    }
}

object! {
    /// What a chunk adds to a function call.
    Function {
        name: Text<'a> = "name",
        arguments: Text<'a> = "arguments",
    }
}

object! {
    /// A delta of a response.
    ResponseDelta {
        output_index: u32 = "output_index",
        content_index: u32 = "content_index",
        summary_index: u32 = "summary_index",
        delta: Text<'a> = "delta",
    }
}

object! {
    /// A delta of a transcript.
    TextDelta {
        delta: Text<'a> = "delta",
    }
}

object! {
    /// A piece of speech.
    AudioDelta {
        audio: Text<'a> = "audio",
    }
}

object! {
    /// Any event that says what it is.
    Typed {
        kind: Text<'a> = "type",
    }
}

/// The `type` of an event.
pub(crate) fn type_of(data: &str) -> Option<String> {
    let event: Typed<'_> = serde_json::from_str(data).ok()?;
    event.kind.map(|kind| kind.0.into_owned())
}
