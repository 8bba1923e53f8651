// node-oidc-provider with client_credentials only: node server.mjs PORT CLIENTS
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, clients] = process.argv.slice(2).map(Number);
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const scope = "orders:read orders:write";

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  clients: Array.from({ length: clients }, (_, number) => ({
    client_id: `client${number}`,
    client_secret: `secret${number}`,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    scope,
  })),
  scopes: scope.split(" "),
  jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "one" }] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:api",
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope,
        audience: "api",
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1");
