//! What to do about an error, for the person at the command line.

use std::error::Error;

use countersign_api::client::{ApiError, ClientError};
use countersign_tls::ConnectError;
use countersign_tls::tunnel::ForwardListenError;

use crate::disk::DiskError;
use crate::enrol::EnrolError;
use crate::forward::ForwardError;
use crate::renew::RenewError;
use crate::run::RunError;
use crate::state::ClaimError;
use crate::unenrol::UnenrolError;

/// A hint about `error` or what caused it, if there is one.
#[must_use]
pub fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    let mut found = None;
    while let Some(this) = next {
        // What lies deeper is more precise.
        found = hint_of(this).or(found);
        next = this.source();
    }
    found
}

fn hint_of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<EnrolError>() {
        return of_enrolment(error);
    }
    if let Some(RenewError::NotEnrolled) = error.downcast_ref() {
        return Some(NOT_ENROLLED.to_owned());
    }
    if let Some(RunError::NotEnrolled) = error.downcast_ref() {
        return Some(NOT_ENROLLED.to_owned());
    }
    if let Some(ForwardError::NotEnrolled) = error.downcast_ref() {
        return Some(NOT_ENROLLED.to_owned());
    }
    if let Some(ForwardListenError::BeyondLoopback(_)) = error.downcast_ref() {
        return Some(
            "listen on 127.0.0.1, or say --danger-listen-beyond-loopback where that is meant".to_owned(),
        );
    }
    if let Some(UnenrolError::NotEnrolled) = error.downcast_ref() {
        return Some("there is nothing to end".to_owned());
    }
    if let Some(ClaimError::Taken(_)) = error.downcast_ref() {
        return Some("stop that one first; `countersign-agent status` says how it gets on".to_owned());
    }
    if let Some(error) = error.downcast_ref::<DiskError>() {
        return Some(of_disk(error));
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return of_client(error);
    }
    error.downcast_ref::<ConnectError>().map(|error| of_connection(error).to_owned())
}

const NOT_ENROLLED: &str =
    "enrol first: countersign-agent enroll <key> --server https://HOST:8443 --ca-fingerprint SHA256";

fn of_enrolment(error: &EnrolError) -> Option<String> {
    match error {
        EnrolError::Already { .. } => Some(
            "nothing has to be done; to enrol again, ask for an enrolment key that is bound to this device and add \
             --force"
                .to_owned(),
        ),
        EnrolError::NoTrust(_) => Some(
            "add --ca-fingerprint SHA256, which the server prints when it starts and shows with every enrolment key, \
             or --ca-file FILE"
                .to_owned(),
        ),
        EnrolError::Disk(_) | EnrolError::Tls(_) | EnrolError::Client(_) | EnrolError::Key(_) => None,
    }
}

fn of_disk(error: &DiskError) -> String {
    match error {
        DiskError::File { .. } => {
            "run it as the user the agent runs as, usually root, or name another file with --config"
                .to_owned()
        }
        DiskError::OpenDirectory(directory) => format!(
            "give the agent a directory of its own with --config, or close this one: chmod 700 {}",
            directory.display()
        ),
        DiskError::Content { path, .. } => {
            format!("mend {}, or remove it and enrol again", path.display())
        }
        DiskError::Busy(_) => "the agent is renewing by itself; try again in a minute".to_owned(),
    }
}

fn of_client(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Redirected { .. } => {
            Some("nothing was sent to where it led; use the server's own URL with --server".to_owned())
        }
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => {
            Some("check the URL, and that the server runs and its port can be reached from here".to_owned())
        }
        ClientError::Unreadable { .. } | ClientError::TooLarge { .. } => {
            Some("whatever answered is no Countersign control plane; check the URL".to_owned())
        }
        ClientError::Refused { source, .. } => of_answer(source).map(str::to_owned),
        ClientError::Unsendable { .. } => None,
    }
}

fn of_connection(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::NotHttps(_) => "use an https URL with a host",
        ConnectError::Tcp { .. } => {
            "check the URL, and that the server runs and its port can be reached from here"
        }
        ConnectError::PinMismatch { .. } => {
            "this is not the server that the fingerprint belongs to, or its CA was replaced; nothing was sent to it. \
             Ask an admin for the fingerprint over another channel"
        }
        ConnectError::KeyMismatch { .. } => {
            "nothing was sent to it. If an admin says that its key was replaced, pin the new one as well"
        }
        ConnectError::Tls { .. } => {
            "the server did not prove to be the right one, or refused this device's certificate. Check the clock, the \
             host name in the URL and the CA"
        }
    }
}

fn of_answer(answer: &ApiError) -> Option<&'static str> {
    let reason = answer.body.reason.as_deref();
    match (answer.body.code.as_str(), reason) {
        (_, Some("enrollment_key_exhausted")) => Some(
            "the key was used already, perhaps by a try of this device whose answer was lost; ask for a new one, bound \
             to this device if it is on the admin's list",
        ),
        (_, Some("enrollment_key_expired" | "enrollment_key_revoked")) => {
            Some("ask an admin for a new enrolment key")
        }
        (_, Some("enrollment_key_not_found")) => {
            Some("check the enrolment key, or ask an admin for a new one")
        }
        ("DEVICE_NAME_TAKEN", _) => Some(
            "choose another name with --name; to enrol the same device again, ask for a key that is bound to it",
        ),
        ("KEY_DENIED", _) => Some("a fresh key is made by the next try; if that fails too, ask an admin"),
        ("DEVICE_QUARANTINED", _) => {
            Some("an admin has to approve this device; the running agent keeps asking and goes on by itself")
        }
        ("TENANT_SUSPENDED", _) => Some("ask an admin why the tenant is suspended"),
        ("RATE_LIMITED", _) => Some("wait a minute and try again"),
        ("ISSUER_UNAVAILABLE", _) => {
            Some("the control plane cannot issue now; the running agent asks again by itself")
        }
        ("UNAUTHORIZED", _) => {
            Some("the device was retired, or its token replaced; ask an admin for a key to enrol it again")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::ErrorBody;

    #[test]
    fn the_deepest_cause_gives_the_hint() {
        let mut body = ErrorBody::new("ENROLLMENT_KEY_REFUSED", "The enrolment key does not work");
        body.reason = Some("enrollment_key_expired".to_owned());
        let source = Box::new(ApiError { status: 401.try_into().unwrap(), body, retry_after: None });
        let error = EnrolError::Client(ClientError::Refused { path: "/x".to_owned(), source });
        assert_eq!(hint(&error).unwrap(), "ask an admin for a new enrolment key");
    }

    #[test]
    fn without_trust_the_hint_names_both_flags() {
        let error = EnrolError::NoTrust("https://a.b".parse().unwrap());
        let hint = hint(&error).unwrap();
        assert!(hint.contains("--ca-fingerprint") && hint.contains("--ca-file"));
    }
}
