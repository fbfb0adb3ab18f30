//! The table, as the contract has it and not as the code does.

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Enroll,
    Renew,
    Challenge,
    Confirm,
    Heartbeat,
    TrustBundle,
    CommandResult,
    /// The WebSocket.
    Channel,
    RotateToken,
    /// An operator's upstream that requires an identity.
    Required,
    /// One that does not.
    Open,
}

impl Route {
    pub(super) const ALL: [Self; 11] = [
        Self::Enroll,
        Self::Renew,
        Self::Challenge,
        Self::Confirm,
        Self::Heartbeat,
        Self::TrustBundle,
        Self::CommandResult,
        Self::Channel,
        Self::RotateToken,
        Self::Required,
        Self::Open,
    ];
}

/// What the handshake shows, from the point of view of the device whose token the request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// The device's own, valid; to confirm: the new one.
    Own,
    OtherDevices,
    /// A perfect copy by another CA.
    EvilTwins,
    Expired,
    Superseded,
    Revoked,
    QuarantinedDevices,
    /// Nothing, and the device is quarantined.
    NothingInQuarantine,
}

impl Shown {
    pub(super) const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Own,
        Self::OtherDevices,
        Self::EvilTwins,
        Self::Expired,
        Self::Superseded,
        Self::Revoked,
        Self::QuarantinedDevices,
        Self::NothingInQuarantine,
    ];

    /// Whether a certificate that was good when the connection opened is good no more.
    pub(super) fn has_fallen(self) -> bool {
        matches!(self, Self::Expired | Self::Superseded | Self::Revoked | Self::QuarantinedDevices)
    }
}

/// What becomes of a WebSocket that was opened before things happened: it goes on as long as a new one
/// would be opened, and over a certificate that was replaced.
pub(super) fn goes_on(shown: Shown, mode: Mode) -> bool {
    shown == Shown::Superseded || verdict(Route::Channel, shown, mode) == Verdict::Yes
}

/// The tenant's `enforcement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Off,
    Observe,
    Enforce,
}

impl Mode {
    pub(super) const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Enforce];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Served.
    Yes,
    /// Served with a signature by the device's key, and 403 `PROOF_REQUIRED` without.
    ProofDecides,
    /// Refused with this status and code, signature or not.
    No(u16, &'static str),
}

/// A row of the table, in the contract's words.
enum Cell {
    Yes,
    Proof,
    No(&'static str),
    /// 401, which never says what was wrong.
    Unauthorized,
    /// Yes in `off` and `observe`; in `enforce` refused with this code.
    ByMode(&'static str),
    /// With a proof in `off` and `observe`; in `enforce` refused with this code.
    ProofByMode(&'static str),
    /// Yes in `off`; in the other modes 401.
    InOffAlone,
}

/// One row: the columns of [`Shown::ALL`], in its order.
fn row(route: Route) -> [Cell; 9] {
    use Cell::{ByMode, InOffAlone, No, Proof, ProofByMode, Unauthorized, Yes};
    let revoked = || No("CERTIFICATE_REVOKED");
    let quarantined = || No("DEVICE_QUARANTINED");
    let expired = || No("CERTIFICATE_EXPIRED");
    let superseded = || No("CERTIFICATE_SUPERSEDED");
    match route {
        Route::Enroll => [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
        Route::Renew => {
            [Proof, Yes, Unauthorized, Proof, Proof, Proof, revoked(), quarantined(), quarantined()]
        }
        Route::Challenge => [Yes, Yes, Unauthorized, Yes, Yes, Yes, revoked(), quarantined(), quarantined()],
        Route::Confirm => [
            Proof,
            Yes,
            Unauthorized,
            Proof,
            expired(),
            superseded(),
            revoked(),
            quarantined(),
            quarantined(),
        ],
        Route::Heartbeat | Route::TrustBundle | Route::CommandResult | Route::Channel => [
            ByMode("MTLS_REQUIRED"),
            Yes,
            InOffAlone,
            ByMode("CERTIFICATE_UNTRUSTED"),
            expired(),
            superseded(),
            revoked(),
            quarantined(),
            quarantined(),
        ],
        Route::RotateToken => [
            ProofByMode("MTLS_REQUIRED"),
            Yes,
            Unauthorized,
            ProofByMode("CERTIFICATE_UNTRUSTED"),
            expired(),
            superseded(),
            revoked(),
            quarantined(),
            quarantined(),
        ],
        Route::Required => [
            No("MTLS_REQUIRED"),
            Yes,
            Yes,
            No("CERTIFICATE_UNTRUSTED"),
            expired(),
            superseded(),
            revoked(),
            quarantined(),
            No("MTLS_REQUIRED"),
        ],
        Route::Open => [Yes, Yes, Yes, Yes, expired(), superseded(), revoked(), quarantined(), Yes],
    }
}

/// What the table says about a request.
pub(super) fn verdict(route: Route, shown: Shown, mode: Mode) -> Verdict {
    let column = Shown::ALL.iter().position(|one| *one == shown).unwrap();
    match &row(route)[column] {
        Cell::Yes => Verdict::Yes,
        Cell::Proof => Verdict::ProofDecides,
        Cell::No(code) => Verdict::No(403, code),
        Cell::Unauthorized => Verdict::No(401, "UNAUTHORIZED"),
        Cell::ByMode(code) | Cell::ProofByMode(code) if mode == Mode::Enforce => Verdict::No(403, code),
        Cell::ProofByMode(_) => Verdict::ProofDecides,
        Cell::InOffAlone if mode != Mode::Off => Verdict::No(401, "UNAUTHORIZED"),
        Cell::ByMode(_) | Cell::InOffAlone => Verdict::Yes,
    }
}
