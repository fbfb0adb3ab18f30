//! `countersign ca export` and `ca crl`: what others need to trust a CA, also beside a running server.

use std::path::Path;

use countersign_ca::{certificate_pem, crl_pem};
use countersign_core::time::{Clock as _, SystemClock};

use super::ca_arguments::{CaCrlArguments, CaExportArguments};
use super::ca_list::{Listed, PublishedCrl, latest_crl, listed, named};
use super::failure::Failure;
use super::output::{note, print, warn};
use super::run::{block_on, loaded};
use crate::plan::{Readers, replace};

/// Writes a CA's certificate.
pub(super) fn export(arguments: CaExportArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let all = block_on(listed(&config.database, SystemClock.now()))?;
    let ca = named(&all, &arguments.name)?;
    let mut pem = certificate_pem(&ca.row.certificate);
    if arguments.chain {
        let mut below = ca;
        // As many steps as there are CAs: nothing on record may send us round in a circle.
        for _step in &all {
            let Some(above) = above(below, &all) else { break };
            pem.push_str(&certificate_pem(&above.row.certificate));
            below = above;
        }
    }
    write(&pem, arguments.to.as_deref())
}

fn above<'a>(ca: &Listed, all: &'a [Listed]) -> Option<&'a Listed> {
    let parent = ca.row.parent?;
    all.iter().find(|other| other.row.key_id == parent)
}

/// Writes the revocation list that a CA has signed last, and says how old it is.
pub(super) fn crl(arguments: CaCrlArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let now = SystemClock.now();
    let (crl, issuer) = block_on(async {
        let all = listed(&config.database, now).await?;
        let ca = named(&all, &arguments.name)?.row.key_id;
        Ok::<_, Failure>((latest_crl(&config.database, ca).await?, ca))
    })?;
    let none = || {
        Failure::bad_answer(format!("the CA {} has signed no revocation list yet", arguments.name))
            .hint("a running server signs one for every CA whose key is at hand")
    };
    let PublishedCrl { list, is_behind } = crl.ok_or_else(none)?;
    write(&crl_pem(&list.der), arguments.to.as_deref())?;
    note(&format!("list {} of {}, until {}", list.number, list.this_update, list.next_update));
    if list.next_update < now {
        warn(
            "the list is over, and others refuse it: a running server whose CA has its key signs the next one",
        );
    } else if is_behind {
        warn(&format!(
            "the list may lack what was revoked last; a running server gives the newest one, at \
             /pki/crl/{issuer}.crl of its admin listener"
        ));
    }
    Ok(())
}

fn write(pem: &str, to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(path) => Ok(replace(path, pem.as_bytes(), Readers::Everybody)?),
        None => Ok(print(pem)?),
    }
}
