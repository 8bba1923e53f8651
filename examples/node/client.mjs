// A client with Node and openid-client: get a token for an API key, show it to a service, and print
// what that answers.
//
//     ISSUER=http://127.0.0.1:8080 AUDIENCE=api KEY_ID=key_... TOKENSVC_API_KEY=tsk-... \
//         ORDERS_URL=http://127.0.0.1:9000/orders node examples/node/client.mjs
import * as client from "openid-client";

const { ISSUER, AUDIENCE, KEY_ID, TOKENSVC_API_KEY, ORDERS_URL } = process.env;
const issuer = new URL(ISSUER);
// Without TLS the API key can be read on the way: for a trial on one machine only.
const insecure = issuer.protocol === "http:" ? [client.allowInsecureRequests] : [];
const config = await client.discovery(
  issuer,
  KEY_ID,
  undefined,
  client.ClientSecretBasic(TOKENSVC_API_KEY),
  { algorithm: "oauth2", execute: insecure },
);

// The token in use, until four fifths of its life are over. Callers that come together share it.
let held = { goodUntil: -Infinity };
function getToken() {
  if (performance.now() > held.goodUntil) {
    const next = { goodUntil: Infinity };
    const asked = { audience: AUDIENCE, scope: "orders:read" };
    next.token = client.clientCredentialsGrant(config, asked).then(
      (answer) => {
        next.goodUntil = performance.now() + 800 * answer.expires_in;
        return answer.access_token;
      },
      (error) => {
        next.goodUntil = -Infinity;
        throw error;
      },
    );
    held = next;
  }
  return held.token;
}

const headers = { Authorization: `Bearer ${await getToken()}` };
const answer = await fetch(ORDERS_URL, { headers, redirect: "error" });
if (!answer.ok) throw new Error(`${answer.status} ${answer.headers.get("www-authenticate")}`);
console.log(await answer.text());
