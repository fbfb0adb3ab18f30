// Kush.Observer of seed 002: an API that answers only clients with a certificate.
//
// The guide asks `if (!clientCertVerified)`, but certVerified is a string: "NONE" and "FAILED:…" are
// true. It is compared here, and revocation is looked at too.

const json = (body, status = 200) => Response.json(body, { status });

const proved = (auth) => auth?.certVerified === "SUCCESS" && auth.certRevoked === "0";

export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (!url.pathname.startsWith("/api/")) return json({ error: "Not found" }, 404);
    const auth = request.cf?.tlsClientAuth;
    if (!proved(auth)) {
      return json({ error: "Mutual TLS authentication required", code: "MTLS_REQUIRED" }, 403);
    }
    const clientCertInfo = {
      certIssuerDN: auth.certIssuerDN,
      certSubjectDN: auth.certSubjectDN,
      certFingerprintSHA1: auth.certFingerprintSHA1,
    };
    switch (url.pathname) {
      case "/api/health":
        return json({ status: "ok" });
      case "/api/auth/verify":
        return json({ verified: true, ...clientCertInfo });
      case "/api/observations":
        return json({ stored: await request.json(), by: clientCertInfo.certSubjectDN });
      default:
        return json({ error: "Not found" }, 404);
    }
  },
};
