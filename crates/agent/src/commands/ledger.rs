//! The memory of commands: each is offered until its result is recorded, and carried out once.

use std::collections::VecDeque;

use countersign_api::wire::command::CommandResult;
use countersign_core::ids::CommandId;

/// How many commands are remembered.
const MOST: usize = 256;

/// What to do with a command that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Carry it out.
    Fresh,
    /// It is waiting to be carried out, or under way.
    UnderWay,
    /// It was carried out; say so again.
    Answered,
    /// Too many wait already; it will be offered again.
    Declined,
}

#[derive(Debug)]
struct Entry {
    id: CommandId,
    result: Option<CommandResult>,
    is_recorded: bool,
}

/// Commands and their results, newest last.
#[derive(Debug, Default)]
pub(crate) struct Ledger(VecDeque<Entry>);

impl Ledger {
    /// A command is offered.
    pub(crate) fn offer(&mut self, id: CommandId) -> Offer {
        if let Some(entry) = self.entry(id) {
            if entry.result.is_none() {
                return Offer::UnderWay;
            }
            // Whoever offers it has no result.
            entry.is_recorded = false;
            return Offer::Answered;
        }
        if self.0.len() >= MOST && !self.forget_one() {
            return Offer::Declined;
        }
        self.0.push_back(Entry { id, result: None, is_recorded: false });
        Offer::Fresh
    }

    /// A command has come to its end. The first result stays.
    pub(crate) fn finish(&mut self, id: CommandId, result: CommandResult) {
        if let Some(entry) = self.entry(id)
            && entry.result.is_none()
        {
            entry.result = Some(result);
        }
    }

    /// The control plane has the result, or will never take it.
    pub(crate) fn settle(&mut self, id: CommandId) {
        if let Some(entry) = self.entry(id) {
            entry.is_recorded = entry.result.is_some();
        }
    }

    /// The results that the control plane has not recorded, oldest first.
    pub(crate) fn outstanding(&self) -> Vec<(CommandId, CommandResult)> {
        let open = self.0.iter().filter(|entry| !entry.is_recorded);
        open.filter_map(|entry| Some((entry.id, entry.result.clone()?))).collect()
    }

    fn entry(&mut self, id: CommandId) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.id == id)
    }

    /// Forgets the oldest whose result is recorded, or else the oldest that has one.
    fn forget_one(&mut self) -> bool {
        let recorded = self.0.iter().position(|entry| entry.is_recorded);
        let answered = || self.0.iter().position(|entry| entry.result.is_some());
        let forgotten = recorded.or_else(answered).and_then(|at| self.0.remove(at));
        forgotten.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::wire::command::CommandStatus;
    use proptest::prelude::*;

    fn done(text: &str) -> CommandResult {
        CommandResult { status: CommandStatus::Completed, result: Some(text.into()), error: None }
    }

    /// What would be said again.
    fn said(ledger: &Ledger) -> Vec<(CommandId, serde_json::Value)> {
        ledger.outstanding().into_iter().map(|(id, result)| (id, result.result.unwrap())).collect()
    }

    #[test]
    fn a_command_is_carried_out_once_and_answered_until_recorded() {
        let (mut ledger, id) = (Ledger::default(), CommandId::random());
        assert_eq!(ledger.offer(id), Offer::Fresh);
        assert_eq!(ledger.offer(id), Offer::UnderWay);
        ledger.settle(id);
        assert!(ledger.outstanding().is_empty(), "there is nothing to say yet");
        ledger.finish(id, done("one"));
        ledger.finish(id, done("two"));
        assert_eq!(said(&ledger), [(id, "one".into())]);
        ledger.settle(id);
        assert!(ledger.outstanding().is_empty());
        assert_eq!(ledger.offer(id), Offer::Answered);
        assert_eq!(said(&ledger), [(id, "one".into())], "it was lost on the other side");
    }

    #[test]
    fn what_is_under_way_is_never_forgotten() {
        let mut ledger = Ledger::default();
        let first = CommandId::random();
        ledger.offer(first);
        for _ in 1..MOST {
            assert_eq!(ledger.offer(CommandId::random()), Offer::Fresh);
        }
        assert_eq!(ledger.offer(CommandId::random()), Offer::Declined);
        ledger.finish(first, done("first"));
        assert_eq!(ledger.offer(CommandId::random()), Offer::Fresh);
        assert_eq!(ledger.offer(first), Offer::Declined, "the only answered one was forgotten");
    }

    proptest! {
        #[test]
        fn memory_has_a_limit_and_prefers_what_still_matters(recorded in prop::collection::vec(any::<bool>(), 300..600)) {
            let mut ledger = Ledger::default();
            let mut open = Vec::new();
            for is_recorded in recorded {
                let id = CommandId::random();
                prop_assert_eq!(ledger.offer(id), Offer::Fresh);
                ledger.finish(id, done("x"));
                if is_recorded { ledger.settle(id) } else { open.push(id) }
                prop_assert!(ledger.0.len() <= MOST);
            }
            let outstanding: Vec<_> = ledger.outstanding().into_iter().map(|(id, _)| id).collect();
            prop_assert!(open.ends_with(&outstanding));
        }
    }
}
