-- Stores a loaded value and releases the caller's lock, atomically.
--
-- KEYS  1 value  2 lock
-- ARGV  1 loading node  2 life of the value (ms), '0' if loading failed  3 the value
-- Returns 1 if the caller held the lock.
local value, lock = KEYS[1], KEYS[2]
local node, lifeMs, text = ARGV[1], ARGV[2], ARGV[3]

if lifeMs ~= '0' then redis.call('SET', value, text, 'PX', lifeMs) end
if redis.call('GET', lock) ~= node then return 0 end
return redis.call('DEL', lock)
