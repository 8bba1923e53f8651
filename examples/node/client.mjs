// A client with Node and openid-client: get a token for an API key, show it to a service, and print
// what that answers.
//
//     ISSUER=http://127.0.0.1:8080 AUDIENCE=api KEY_ID=key_... TOKENSVC_API_KEY=tsk-... \
//         ORDERS_URL=http://127.0.0.1:9000/orders node examples/node/client.mjs
import * as client from "openid-client";

const { ISSUER, AUDIENCE, KEY_ID, TOKENSVC_API_KEY, ORDERS_URL } = process.env;
const issuer = new URL(ISSUER);
const config = await client.discovery(
  issuer,
  KEY_ID,
  undefined,
  client.ClientSecretBasic(TOKENSVC_API_KEY),
  // Without TLS the API key can be read on the way: for a trial on one machine only.
  {
    algorithm: "oauth2",
    execute: issuer.protocol === "http:" ? [client.allowInsecureRequests] : [],
  },
);

let held; // the token in use, until shortly before its end; several callers share one exchange
function getToken() {
  if (held === undefined || Date.now() > held.goodUntil) {
    const asked = { audience: AUDIENCE, scope: "orders:read" };
    const answer = client.clientCredentialsGrant(config, asked);
    held = { answer, goodUntil: Date.now() + 10_000 };
    answer.then(
      ({ expires_in: seconds }) => { held.goodUntil = Date.now() + 800 * seconds; },
      () => { held = undefined; },
    );
  }
  return held.answer.then((answer) => answer.access_token);
}

const headers = { Authorization: `Bearer ${await getToken()}` };
const answer = await fetch(ORDERS_URL, { headers, redirect: "error" });
if (!answer.ok) throw new Error(`${answer.status} ${answer.headers.get("www-authenticate")}`);
console.log(await answer.text());
