// Verifies the tokens on stdin, one a line, with the library argv[2] and the JWKS at argv[3], for
// issuer argv[4], audience argv[5] and algorithm argv[6]; if argv[7] is `any`, whatever their
// `typ`. Answers each with a line: {"header", "claims"}, or {"refused"} with the reason.
import { createPublicKey } from 'node:crypto'
import { createInterface } from 'node:readline'
import { createVerifier } from 'fast-jwt'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import jwksRsa from 'jwks-rsa'

const [, , library, url, issuer, audience, algorithm] = process.argv
const algorithms = [algorithm]
const typ = process.argv[7] === 'any' ? undefined : 'at+jwt'

async function fetchPem({ kid }) {
  const { keys } = await (await fetch(url)).json()
  const jwk = keys.find((candidate) => candidate.kid === kid)
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  return key.export({ type: 'spki', format: 'pem' })
}

const libraries = {
  jose() {
    const keys = createRemoteJWKSet(new URL(url))
    return async (token) => {
      const options = { issuer, audience, typ, algorithms }
      const { protectedHeader, payload } = await jwtVerify(token, keys, options)
      return { header: protectedHeader, claims: payload }
    }
  },
  jsonwebtoken() {
    const client = jwksRsa({ jwksUri: url })
    const getKey = ({ kid }, done) => {
      client.getSigningKey(kid, (error, key) => done(error, key?.getPublicKey()))
    }
    const options = { issuer, audience, algorithms, complete: true }
    return (token) => new Promise((resolve, reject) => {
      jsonwebtoken.verify(token, getKey, options, (error, verified) =>
        error ? reject(error) : resolve({ header: verified.header, claims: verified.payload }))
    })
  },
  'fast-jwt'() {
    const key = ({ header }) => fetchPem(header)
    const verify = createVerifier({
      key, algorithms, allowedIss: issuer, allowedAud: audience, checkTyp: typ, complete: true,
    })
    return async (token) => {
      const { header, payload } = await verify(token)
      return { header, claims: payload }
    }
  },
}

const verify = libraries[library]()
for await (const token of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await verify(token)))
  } catch (error) {
    console.log(JSON.stringify({ refused: `${error.code ?? error.name}: ${error.message}` }))
  }
}
