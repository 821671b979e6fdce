-- Reads the fields of a session that a handshake needs.
--
-- KEYS  1 session
-- Returns { userId, expiresAt, lastSeenAt, grants }; nil for each missing one.
return redis.call('HMGET', KEYS[1], 'userId', 'expiresAt', 'lastSeenAt', 'grants')
