-- How long a watermark must stay on the denylist.

-- name: raise_longest_life(life)
update issuance set longest_life = $1 where longest_life < $1;

-- name: load_longest_life()
select longest_life from issuance;
