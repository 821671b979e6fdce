-- Reads the fields of a session that a handshake needs, and what holds for all tokens of its user.
--
-- KEYS  1 session  2 user's block  3 user's earliest valid token (same slot)
-- Returns { userId, expiresAt, lastSeenAt, roles, channels, info, granted, revision, rightsAt, sliding, block, ms }; nil for
-- each missing one.
local answer = redis.call('HMGET', KEYS[1], 'userId', 'expiresAt', 'lastSeenAt', 'roles', 'channels', 'info', 'granted',
  'revision', 'rightsAt', 'sliding')
answer[#answer + 1] = redis.call('GET', KEYS[2])
answer[#answer + 1] = redis.call('GET', KEYS[3])
return answer
