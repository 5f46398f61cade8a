//! The responder for a chat without a provider: honest about what it is, and the same every time.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::sleep;

use crate::{
    history::{Failure, Role},
    jobs::Turn,
};

const QUOTED_CHARS_MAX: usize = 160;
const WORDS_AT_ONCE: usize = 3;

const HOW_TO_CONFIGURE: &str = "\
To get real answers, start the chat with an OpenAI-compatible server:

| provider | `OPENAI_BASE_URL` | `CHAT_MODEL` |
|---|---|---|
| OpenAI | not needed, only `OPENAI_API_KEY` | `gpt-4o-mini` |
| Ollama | `http://localhost:11434/v1` | `llama3.2` |
| vLLM, llama.cpp | `http://localhost:8000/v1` | the model it serves |
";

/// The answer, a few words at a time.
pub(super) fn stream(
    turns: &[Turn],
    delay: Duration,
    pause: Duration,
) -> impl Stream<Item = Result<String, Failure>> + use<> {
    let pieces = pieces(&answer(turns));
    stream::iter(pieces.into_iter().enumerate()).then(move |(number, piece)| async move {
        sleep(if number == 0 { delay } else { pause }).await;
        Ok(piece)
    })
}

/// Cut after white space, which stays.
fn pieces(answer: &str) -> Vec<String> {
    let words: Vec<&str> = answer.split_inclusive(char::is_whitespace).collect();
    words.chunks(WORDS_AT_ONCE).map(<[&str]>::concat).collect()
}

fn answer(turns: &[Turn]) -> String {
    let question = turns.last().map(|turn| turn.content.trim()).unwrap_or_default();
    let words = question.to_lowercase();
    let mentions = |candidates: &[&str]| candidates.iter().any(|word| words.contains(word));

    let mut parts = vec![introduction(turns, question)];
    if mentions(&["code", "rust", "script", "function", "javascript", "typescript"]) {
        parts.push(CODE.into());
    }
    if mentions(&["table"]) {
        parts.push(TABLE.into());
    }
    if mentions(&["list", "steps"]) {
        parts.push(LIST.into());
    }
    if mentions(&["help", "configure", "provider", "openai", "ollama", "who are you"])
        || (parts.len() == 1 && questions(turns) == 1)
    {
        parts.push(HOW_TO_CONFIGURE.into());
    }
    if parts.len() == 1 {
        parts.push(
            "Ask me for *code*, a *table* or a *list* to see how answers are shown, or for \
             *help* to connect a real provider."
                .into(),
        );
    }
    parts.join("\n\n")
}

fn introduction(turns: &[Turn], question: &str) -> String {
    let quoted = quote(question);
    match questions(turns) {
        0 | 1 => format!(
            "I am Tetherline's **built-in responder**: no AI provider is configured, so I cannot \
             think about your question, but it did arrive:\n\n> {quoted}"
        ),
        number => format!(
            "Still the **built-in responder**, no AI. This is question {number} of our \
             conversation as I see it:\n\n> {quoted}"
        ),
    }
}

fn questions(turns: &[Turn]) -> usize {
    turns.iter().filter(|turn| turn.role == Role::User).count()
}

/// One line of Markdown quotation, whatever the question holds.
fn quote(question: &str) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= QUOTED_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(QUOTED_CHARS_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

const CODE: &str = "\
You mentioned code. This is how a block of it looks, here a handler for the next answer:

```typescript
const { registerHandlers } = useWebSocketContext()

useEffect(() => {
  return registerHandlers({
    message_generate: (msg) => console.log('An answer arrived:', msg),
  })
}, [registerHandlers])
```";

const TABLE: &str = "\
You mentioned a table. These are the messages that travel over your connection:

| message | from | meaning |
|---|---|---|
| `message_generate` | you, then the server | a question, then its answer |
| `message_start`, `message_delta` | the server | a stream: an answer that is written bit by bit |
| `message_stop` | you | no more of it, please |
| `message_regenerate` | you, then the server | another version of an answer, or the same tried again |
| `message_created` | the server | your question, for your other tabs |";

const LIST: &str = "\
You mentioned a list. What happened to your question so far:

1. It was kept in your browser until the server confirmed it.
2. It was stored together with the order to answer it.
3. This answer is a stream in your mailbox, where nothing is shown before it is stored, and all your tabs \
watch it.";

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &str) -> String {
        answer(&[Turn { role: Role::User, content: question.into() }])
    }

    #[test]
    fn it_says_what_it_is_what_was_asked_and_how_to_do_better() {
        let answer = ask("What is\nthe meaning of life?");
        assert!(answer.contains("built-in responder"));
        assert!(answer.contains("> What is the meaning of life?"));
        assert!(answer.contains("OPENAI_BASE_URL"));
    }

    #[test]
    fn it_shows_code_tables_and_lists_when_they_are_mentioned() {
        assert!(ask("show me code").contains("```typescript"));
        assert!(ask("a table please").contains("|---|"));
        assert!(ask("make a list").contains("\n1. "));
    }

    #[test]
    fn its_pieces_are_the_answer() {
        let answer = ask("a table and code, please");
        let pieces = pieces(&answer);
        assert!(pieces.len() > 20);
        assert_eq!(pieces.concat(), answer);
    }

    #[test]
    fn the_same_question_gets_the_same_answer() {
        assert_eq!(ask("code and a table"), ask("code and a table"));
    }
}
