"""How verifiers are set up for this issuer: the examples of `docs/relying-parties.md`."""

from __future__ import annotations

from typing import Final, NamedTuple

_ISSUER: Final = "https://auth.example.com"
_AUDIENCE: Final = "orders-api"


class Snippet(NamedTuple):
    """An example. `text` names the issuer and an audience of this service."""

    id: str
    title: str
    note: str
    text: str


def list_snippets(issuer: str, audience: str) -> list[Snippet]:
    """Return the examples for an issuer and an audience."""
    return [
        snippet._replace(
            text=snippet.text.replace(_ISSUER, issuer).replace(_AUDIENCE, audience).strip()
        )
        for snippet in _SNIPPETS
    ]


_SNIPPETS: Final = (
    Snippet(
        "aiohttp",
        "aiohttp",
        "Python; it follows the denylist, so a revocation holds within a second.",
        """
from aiohttp import web
from tokensvc.verify import Verifier
from tokensvc.verify.aiohttp import CLAIMS, auth_middleware, follow, public, requires

verifier = Verifier(issuer="https://auth.example.com", audience="orders-api")
app = web.Application(middlewares=[auth_middleware(verifier)])
app.cleanup_ctx.append(follow(verifier))
""",
    ),
    Snippet(
        "fastapi",
        "FastAPI",
        "Python; it follows the denylist, so a revocation holds within a second.",
        """
from typing import Annotated
from fastapi import FastAPI, Security
from tokensvc.verify import Claims, Verifier
from tokensvc.verify.fastapi import TokensvcBearer

bearer = TokensvcBearer(Verifier(issuer="https://auth.example.com", audience="orders-api"))
app = FastAPI(lifespan=bearer.lifespan, exception_handlers=bearer.exception_handlers)


@app.get("/orders")
async def list_orders(
    claims: Annotated[Claims, Security(bearer, scopes=["orders:read"])],
) -> dict[str, str]:
    return {"for": claims.sub}
""",
    ),
    Snippet(
        "node",
        "Node, jose",
        "It knows only the JWKS: tokens end when they expire.",
        """
import { createRemoteJWKSet, jwtVerify } from "jose";

const issuer = "https://auth.example.com";
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`)); // once, at the start
const { payload } = await jwtVerify(token, keys, {
  issuer, audience: "orders-api", typ: "at+jwt", algorithms: ["ES256"], clockTolerance: 5,
  requiredClaims: ["sub", "jti", "client_id", "iat", "exp"],
});
""",
    ),
    Snippet(
        "spring",
        "Spring Security",
        "Java; it knows only the JWKS: tokens end when they expire.",
        """
@Bean
JwtDecoder jwtDecoder() {
    String issuer = "https://auth.example.com";
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(issuer + "/.well-known/jwks.json")
        .jwsAlgorithm(SignatureAlgorithm.ES256)
        .validateType(false) // the validator below wants at+jwt
        .build();
    decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
        .issuer(issuer)
        .audience("orders-api")
        .validators(all -> all.put(
            "client_id", new JwtClaimValidator<String>("client_id", Objects::nonNull)))
        .build());
    return decoder;
}
""",
    ),
    Snippet(
        "envoy",
        "Envoy",
        "It knows only the JWKS, and does not check that typ is at+jwt.",
        """
providers:
  tokensvc:
    issuer: https://auth.example.com
    audiences: [orders-api]
    from_headers: [{name: Authorization, value_prefix: "Bearer "}]
    clock_skew_seconds: 5        # the default is 60
    remote_jwks:
      http_uri:
        uri: https://auth.example.com/.well-known/jwks.json
        cluster: tokensvc
        timeout: 5s
      cache_duration: 300s
      async_fetch: {}
rules:
- match: {prefix: /}
  requires: {provider_name: tokensvc}
""",
    ),
)
