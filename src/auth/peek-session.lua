-- Reads the fields of a session that a handshake needs, and what holds for all tokens of its user.
--
-- KEYS  1 session  2 user's block  3 user's earliest valid token (same slot)
-- Returns { block, ms, userId, expiresAt, lastSeenAt, roles, channels, info, granted, revision, rightsAt, sliding }; nil for
-- each missing one, and nothing after the last that exists: most sessions have three fields, and a node parses the reply.
local answer = redis.call('HMGET', KEYS[1], 'userId', 'expiresAt', 'lastSeenAt', 'roles', 'channels', 'info', 'granted',
  'revision', 'rightsAt', 'sliding')
while #answer > 0 and not answer[#answer] do answer[#answer] = nil end
return { redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]), unpack(answer) }
