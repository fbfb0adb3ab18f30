//! The device CA that an installation is given at its first start: `DEVICE_CA_CERT_PATH` and
//! `DEVICE_CA_KEY_PATH`.

use super::pick::Picker;
use super::problem::Origin;
use crate::own_ca::CaFiles;

const CERTIFICATE: &str = "DEVICE_CA_CERT_PATH";
const KEY: &str = "DEVICE_CA_KEY_PATH";

/// Whether a variable is one of the two.
pub(super) fn is_variable(name: &str) -> bool {
    [CERTIFICATE, KEY].contains(&name)
}

/// The files, when both are named. One alone is refused.
pub(super) fn device_ca(pick: &mut Picker<'_>) -> Option<CaFiles> {
    match (pick.variable(CERTIFICATE), pick.variable(KEY)) {
        (Some(certificate), Some(key)) => Some(CaFiles { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            pick.refuse(&Origin::Variable(CERTIFICATE.to_owned()), "", format!("{KEY} is not set"));
            None
        }
        (None, Some(_)) => {
            pick.refuse(&Origin::Variable(KEY.to_owned()), "", format!("{CERTIFICATE} is not set"));
            None
        }
    }
}
