-- Whether a token was revoked.
--
-- KEYS  1 entry of the token
-- Returns 1 if it was, else 0.
return redis.call('EXISTS', KEYS[1])
