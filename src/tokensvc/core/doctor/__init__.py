"""What `tokensvc doctor` looks at, and what it makes of it: facts in, findings out.

Nothing here asks anybody. `facts` says what has to be gathered, `table` names the checks, and the
other modules hold the judgements, a small function each.
"""
