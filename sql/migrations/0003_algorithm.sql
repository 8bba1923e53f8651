-- migrate:up

-- Which algorithm signs the tokens of an audience. Keys are bound to one algorithm each; the default is ES256.
alter table audience
    add column alg text not null default 'ES256' constraint audience_alg_known check (alg in ('ES256', 'EdDSA', 'RS256'));
