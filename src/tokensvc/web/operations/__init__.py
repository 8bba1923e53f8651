"""The operations of the table over HTTP: one handler for all of them.

A request is read in this order, and the first fault is answered:

    routes       which path and method is which operation
    credential   who calls: an API key, or a token of ours for the audience `tokensvc`
    body         the JSON object in the body
    reading      path, query and body become one `operation.request`
    headers      If-Match, If-None-Match, Idempotency-Key, and ETag of the answer
    handler      all of it in order, and the answer
"""
