-- Removes the head of a queue, delivered or dead-lettered.
--
-- KEYS  1 queue (list)  2 queues (sorted set)  3 queued (counter)  4 attempts (hash)  5 dead letters (stream)
-- ARGV  1 id of the message, '' to remove none  2 entity  3 TTL (s)  4 duration of the caller's claim (ms)
--       5 max dead letters  6.. fields of the dead letter besides the message; none if it was delivered
-- Returns 1 if there is a next message, else 0. A message that is not the head was removed before; then nothing changes.
local queue, queues, queued, attempts, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, entity, ttl, leaseMs, maxDeadLetters = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function headId()
  local head = redis.call('LINDEX', queue, 0)
  return head and string.match(head, '^[^ ]+')
end

if id ~= '' and headId() == id then
  local text = redis.call('LPOP', queue)
  redis.call('HDEL', attempts, entity)
  if redis.call('DECR', queued) < 0 then redis.call('SET', queued, '0') end
  if #ARGV > 5 then
    redis.call('XADD', dead, 'MAXLEN', '~', maxDeadLetters, '*', 'message', text, unpack(ARGV, 6))
  end
end

local following = headId()
if following then redis.call('ZADD', queues, string.format('%.0f', now + leaseMs), entity)
else redis.call('ZREM', queues, entity) end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ttl) end
return following and 1 or 0
