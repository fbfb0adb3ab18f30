//! Possession of the key that counts for a device, shown by the handshake or by a signature.

use countersign_core::proof::ProofSubject;

use crate::agent::{AgentCaller, Possession};
use crate::authority::Authority;
use crate::challenge::ProofError;
use crate::present::Present;

impl Authority {
    /// Checks possession of the key that counts, by the handshake with the active certificate or by a
    /// signature. Fails closed: a key that is denied never counts, and without a key nothing does.
    pub(crate) async fn check_key(
        &self,
        agent: &AgentCaller,
        present: &Present,
        subject: ProofSubject,
        possession: &Possession,
    ) -> Result<(), ProofError> {
        match (possession, present.key()?) {
            (_, None) | (Possession::None | Possession::Told(_), _) => Err(ProofError::Refused),
            (Possession::Handshake(claim), Some(_)) => {
                let is_current =
                    present.usable(self.now()).is_some_and(|row| row.reference == claim.reference);
                if is_current { Ok(()) } else { Err(ProofError::Refused) }
            }
            (Possession::Signature { challenge, signature, beside: _ }, Some(key)) => {
                self.check_proof(agent.id(), subject, *challenge, signature, &key).await
            }
        }
    }
}
