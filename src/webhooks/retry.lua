-- Schedules the next attempt for the head of a queue.
--
-- KEYS  1 queue (list)  2 queues (sorted set)  3 attempts (hash entity -> attempts of its head)
-- ARGV  1 id of the message  2 entity  3 attempts so far  4 ms until the next attempt  5 TTL (s)
-- Returns 1, or 0 if the head is another message because another node has handled this one; then nothing changes.
local queue, queues, attempts = KEYS[1], KEYS[2], KEYS[3]
local id, entity, count, pauseMs, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local head = redis.call('LINDEX', queue, 0)
if not head or string.match(head, '^[^ ]+') ~= id then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', attempts, entity, count)
redis.call('ZADD', queues, string.format('%.0f', now + pauseMs), entity)
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ttl) end
return 1
