// A service with Node and jose: orders are for those whose token has `orders:read`.
//
//     ISSUER=http://127.0.0.1:8080 AUDIENCE=api PORT=9000 node examples/node/service.mjs
//
// It verifies tokens with the public keys alone, so it does not learn of revocations: a token is
// good until its `exp`.
import { createServer } from "node:http";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { ISSUER: issuer, AUDIENCE: audience, PORT: port } = process.env;
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`)); // once, at the start
const rules = {
  issuer,
  audience,
  typ: "at+jwt",
  algorithms: ["ES256"],
  clockTolerance: 5,
  requiredClaims: ["sub", "jti", "client_id", "iat", "exp"],
};

function refuse(response, status, challenge) {
  response.writeHead(status, { "WWW-Authenticate": challenge });
  response.end();
}

async function listOrders(request, response) {
  const [, token] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "") ?? [];
  if (token === undefined) return refuse(response, 401, "Bearer");
  let claims;
  try {
    ({ payload: claims } = await jwtVerify(token, keys, rules));
  } catch (error) {
    // The keys could not be fetched: this says nothing about the token.
    const status = error.code?.startsWith("ERR_J") ? 401 : 503;
    console.error(`refused with ${status}: ${error.code ?? ""} ${error.message}`);
    return refuse(response, status, 'Bearer error="invalid_token"');
  }
  if (!(claims.scope ?? "").split(" ").includes("orders:read")) {
    return refuse(response, 403, 'Bearer error="insufficient_scope", scope="orders:read"');
  }
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ for: claims.sub }));
}

createServer((request, response) => {
  if (request.method === "GET" && request.url === "/orders") return listOrders(request, response);
  response.writeHead(404);
  response.end();
}).listen(Number(port), "127.0.0.1");
