-- Notes that the head of a lane was tried in vain, and when it is to be tried again.
--
-- KEYS  1 lane (list)  2 lanes (sorted set)  3 tries (hash entity -> how often its head was tried)
-- ARGV  1 id of the message  2 entity  3 how often it was tried  4 ms until the next try  5 life (s)
-- Returns 1, or 0 where the head is another: it was dealt with by another node, and nothing is changed.
local lane, lanes, tries = KEYS[1], KEYS[2], KEYS[3]
local id, entity, count, pauseMs, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local head = redis.call('LINDEX', lane, 0)
if not head or string.match(head, '^[^ ]+') ~= id then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', tries, entity, count)
redis.call('ZADD', lanes, string.format('%.0f', now + pauseMs), entity)
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], life) end
return 1
