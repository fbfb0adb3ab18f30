//! One account, one order: what is said to the CA.

use std::time::Duration;

use anyhow::{Context as _, bail};
use instant_acme::{
    Account, AuthorizationStatus, ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use zeroize::Zeroizing;

use super::kept::{Kept, KeptAccount};
use super::transport::AcmeHttp;
use super::validation::{Answer, Validation};
use crate::config::AcmeSettings;

/// How long the CA may take to look at the names, and then to issue.
const PATIENCE: Duration = Duration::from_secs(120);

/// A chain with its key, PEM.
pub(super) struct Obtained {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

/// The account at the CA: the one that is kept, or a new one, which is kept before it is used.
pub(super) async fn account(settings: &AcmeSettings, kept: &Kept) -> anyhow::Result<Account> {
    let directory = settings.directory.uri().to_string();
    let builder = Account::builder_with_http(Box::new(AcmeHttp::new(settings.ca_file.as_deref())?));
    if let Some(credentials) = kept.account(&directory)? {
        let account = builder.from_credentials(credentials).await;
        return account.with_context(|| format!("use the account at {directory}"));
    }
    let external = match &settings.external_account {
        None => None,
        Some((id, file)) => Some(ExternalAccountKey::new(id.clone(), &AcmeSettings::external_key(file)?)),
    };
    let contacts: Vec<String> = settings.contacts.iter().map(|contact| format!("mailto:{contact}")).collect();
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let wanted =
        NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
    let created = builder.create(&wanted, directory.clone(), external.as_ref()).await;
    let (account, credentials) = created.with_context(|| format!("make an account at {directory}"))?;
    kept.save_account(&KeptAccount { directory, credentials })?;
    tracing::info!(account = account.id(), "ACME account made");
    Ok(account)
}

/// A certificate for these hosts. What the CA looks for meanwhile it finds by `validation`.
pub(super) async fn certificate(
    account: &Account,
    hosts: &[String],
    validation: &Validation,
) -> anyhow::Result<Obtained> {
    let identifiers: Vec<_> = hosts.iter().cloned().map(Identifier::Dns).collect();
    let order = account.new_order(&NewOrder::new(&identifiers)).await;
    let mut order = order.context("order a certificate")?;
    let mut answers = Vec::new();
    prove(&mut order, validation, &mut answers).await?;
    let policy = RetryPolicy::new().timeout(PATIENCE);
    let status = order.poll_ready(&policy).await.context("wait until the CA has looked at the names")?;
    if status != OrderStatus::Ready {
        bail!("the CA refused: {}", refusal(&mut order).await);
    }
    drop(answers);
    let key = Zeroizing::new(order.finalize().await.context("ask for the certificate")?);
    let chain = order.poll_certificate(&policy).await.context("wait for the certificate")?;
    Ok(Obtained { chain, key })
}

/// Has the CA look at every name that it has not seen to be ours.
async fn prove(order: &mut Order, validation: &Validation, answers: &mut Vec<Answer>) -> anyhow::Result<()> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.context("learn what the CA wants to see")?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status @ (AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated) => bail!("the CA has {name} as {status:?}"),
        }
        let challenge = authorization.challenge(validation.kind());
        let refused = || format!("the CA does not look at {name} by {:?}", validation.kind());
        let mut challenge = challenge.with_context(refused)?;
        answers.push(validation.answer(&name, &challenge.token, &challenge.key_authorization())?);
        challenge.set_ready().await.with_context(|| format!("ask the CA to look at {name}"))?;
    }
    Ok(())
}

/// What the CA saw, in its words.
async fn refusal(order: &mut Order) -> String {
    let mut said = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        said.extend(errors.map(|error| format!("{name}: {error}")));
    }
    if said.is_empty() { "no reason given".to_owned() } else { said.join("; ") }
}
