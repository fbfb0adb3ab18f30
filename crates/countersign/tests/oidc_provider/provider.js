// An identity provider on this machine: `node provider.js CONSOLE_URL`. It says where it listens, and ends with
// its stdin. Whoever signs in is called what they type, and is in the groups that they type behind a colon.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const console_url = process.argv[2];
const groups = new Map();

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  // Another site than the console's at 127.0.0.1, as browsers see it.
  const issuer = `http://localhost:${server.address().port}`;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "countersign",
        client_secret: "between us two",
        redirect_uris: [`${console_url}/console/oidc/callback`],
        post_logout_redirect_uris: [`${console_url}/console/login`],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "RS256" }] },
    cookies: { keys: ["of a test"] },
    claims: { email: ["email", "email_verified"], profile: ["groups"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true, methods: ["S256"] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: groups.get(id) ?? [] }),
    }),
    interactions: { url: (_context, interaction) => `/sign-in/${interaction.uid}` },
  });
  const callback = provider.callback();

  async function finish(request, response) {
    let body = "";
    for await (const chunk of request) body += chunk;
    const [accountId, ...memberships] = new URLSearchParams(body).get("login").split(":");
    groups.set(accountId, memberships);
    const grant = new provider.Grant({ accountId, clientId: "countersign" });
    grant.addOIDCScope("openid email profile");
    const answer = { login: { accountId }, consent: { grantId: await grant.save() } };
    await provider.interactionFinished(request, response, answer, { mergeWithLastSubmission: false });
  }

  server.on("request", (request, response) => {
    if (!request.url.startsWith("/sign-in/")) return callback(request, response);
    if (request.method === "POST") return finish(request, response);
    response.setHeader("content-type", "text/html");
    response.end(`<!DOCTYPE html><title>The provider</title><main><h1>The provider</h1>
      <form method="post"><input id="login" name="login"><button id="enter">Sign in</button></form></main>`);
  });
  console.log(issuer);
});

process.stdin.resume();
process.stdin.on("end", () => process.exit());
