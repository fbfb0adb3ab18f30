//! A webhook: batches over HTTP, each signed.

use countersign_core::ids::RequestId;

use super::queue::{Deliver, Delivering};
use super::record::Record;
use crate::hook::Hook;

/// A webhook.
pub(super) struct Webhook {
    hook: Hook,
    name: BatchName,
}

/// The first message of the batch that is tried, and what the batch is called.
#[derive(Default)]
struct BatchName(Option<(RequestId, RequestId)>);

impl BatchName {
    /// The same batch keeps its name however often it is sent.
    fn of(&mut self, batch: &[Record]) -> RequestId {
        let first = batch.first().map(|record| record.id);
        match (&self.0, first) {
            (Some((of, name)), Some(first)) if *of == first => *name,
            (_, first) => {
                let name = RequestId::random();
                self.0 = first.map(|first| (first, name));
                name
            }
        }
    }
}

impl Webhook {
    pub(super) fn new(hook: Hook) -> Self {
        Self { hook, name: BatchName::default() }
    }
}

impl Deliver<Record> for Webhook {
    fn deliver<'a>(&'a mut self, batch: &'a [Record]) -> Delivering<'a> {
        let lines: Vec<&str> = batch.iter().map(|record| &*record.json).collect();
        let body = format!("{{\"messages\":[{}]}}", lines.join(","));
        let name = self.name.of(batch).to_string();
        Box::pin(async move { self.hook.send(&name, "application/json", body).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_sent_again_has_the_same_name() {
        let mut names = BatchName::default();
        let batch = [Record::example("d1"), Record::example("d2")];
        let name = names.of(&batch);
        assert_eq!(names.of(&batch), name);
        assert_ne!(names.of(&[Record::example("d1")]), name);
    }
}
