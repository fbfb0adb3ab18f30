// Sesh-Tracker.com of seed 002: calls Kush.Observer as a client with a certificate, which it names by its
// id. The key is the egress's: nothing here can read it.

const json = (body, status = 200) => Response.json(body, { status });

const certificate = (id) => ({ clientCertificate: { certificateId: id } });

async function connectToKushObserver(env, endpoint, data) {
  const response = await fetch(`https://kush.observer/api/${endpoint}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
    cf: certificate(env.KUSH_MTLS_CERT_ID),
  });
  return json(await response.json(), response.status);
}

async function testConnection(id) {
  try {
    const response = await fetch("https://kush.observer/api/health", { cf: certificate(id) });
    if (response.ok) return json({ success: true, message: "mTLS connection successful" });
    return json({ success: false, status: response.status, message: await response.text() });
  } catch (error) {
    return json({ success: false, error: error.message }, 500);
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/test/mtls-connection":
        return testConnection(env.KUSH_MTLS_CERT_ID);
      case "/test/another-certificate":
        return testConnection("somebody-elses");
      case "/sessions":
        return connectToKushObserver(env, "observations", await request.json());
      default:
        return json({ error: "Not found" }, 404);
    }
  },
};
