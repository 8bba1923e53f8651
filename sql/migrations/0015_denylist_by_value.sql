-- migrate:up

-- What asks for the revocations of a few things wants them in the order of `seq`. Where the list
-- was empty when a plan was made, the planner read all of the list in that order to find them, and
-- went on so when the list had grown, while everybody else waited to revoke. There is no index on
-- `seq + 0`, so the things are looked for by their index, and what is found is sorted.
create or replace view listed_revocation as
select seq + 0 as seq, tag, kind, value, watermark, created_at, expires_at, ending, healed
from denylist;
