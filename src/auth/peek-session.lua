-- Reads what a handshake must know of a session.
--
-- KEYS  1 session
-- Returns { userId, expiresAt, lastSeenAt, grants }; nil for each that is not there.
return redis.call('HMGET', KEYS[1], 'userId', 'expiresAt', 'lastSeenAt', 'grants')
