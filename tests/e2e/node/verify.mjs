// Verifies the token on stdin with the JWKS at argv[2], for issuer argv[3] and audience argv[4]; prints its claims.
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [, , url, issuer, audience] = process.argv
const keys = createRemoteJWKSet(new URL(url))
const { payload } = await jwtVerify(readFileSync(0, 'utf8').trim(), keys, { issuer, audience, typ: 'at+jwt', algorithms: ['ES256'] })
console.log(JSON.stringify(payload))
