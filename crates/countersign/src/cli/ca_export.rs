//! `countersign ca export` and `ca crl`: what others need to trust a CA, also beside a running server.

use std::path::Path;

use countersign_ca::{certificate_pem, crl_pem};
use countersign_core::time::{Clock as _, SystemClock};

use super::ca_arguments::{CaCrlArguments, CaExportArguments};
use super::ca_list::{Listed, latest_crl, listed, named};
use super::failure::Failure;
use super::output::print;
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

/// Writes a CA's latest revocation list.
pub(super) fn crl(arguments: CaCrlArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let crl = block_on(async {
        let all = listed(&config.database, SystemClock.now()).await?;
        let ca = named(&all, &arguments.name)?.row.key_id;
        latest_crl(&config.database, ca).await
    })?;
    let none = || {
        Failure::bad_answer(format!("the CA {} has signed no revocation list yet", arguments.name))
            .hint("a running server signs one for every CA whose key is at hand")
    };
    write(&crl_pem(&crl.ok_or_else(none)?.der), arguments.to.as_deref())
}

fn write(pem: &str, to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(path) => Ok(replace(path, pem.as_bytes(), Readers::Everybody)?),
        None => Ok(print(pem)?),
    }
}
