"""The denylist: what is revoked, the signed feed that carries it, and the rules for followers.

A **revocation** ends tokens before their time. It names one of four things:

- `jti`: one token, and every token that was narrowed from it;
- `key` or `account`: all tokens of an API key or of an account that were issued up to a moment.
  That moment is the **watermark**, a whole second;
- `kid`: all tokens that a signing key ever signed, and every token that was narrowed from them.

If several revocations cover a token, the strictest one applies. A revocation is kept until 120 s
after the last token that it covers has expired, never shorter.

Everybody needs `position`, `revocation`, `page` and `lookup`. Only followers need `vouched` and
`followed`, only the issuer needs `record`, `columns`, `log` and `healing`.
"""
