-- Sends an ephemeral publication once: a repeat of its idempotency key is not sent again.
--
-- KEYS  1 feed  2 idempotency key
-- ARGV  1 content  2 idempotency TTL (s)  3 message, or '' to send nothing and find a repeat
-- Returns 'new', 'duplicate', 'conflict' (the key was used for different content; nothing was sent) or 'unknown' (no
-- repeat).
-- The content has a mark, so that a stored publication with the same key and content is a conflict and not a repeat.
local content = 'ephemeral ' .. redis.sha1hex(ARGV[1])
local first = redis.call('HGET', KEYS[2], 'content')
if first then return first == content and 'duplicate' or 'conflict' end
if ARGV[3] == '' then return 'unknown' end
redis.call('HSET', KEYS[2], 'content', content)
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('SPUBLISH', KEYS[1], ARGV[3])
return 'new'
