-- Takes the head of a lane out, delivered or dead, and tells whether there is a next.
--
-- KEYS  1 lane (list)  2 lanes (sorted set)  3 waiting (string)  4 tries (hash)  5 dead letters (stream)
-- ARGV  1 id of the message, '' to take none out  2 entity  3 life (s)  4 ms of the caller's claim  5 most dead letters
--       6.. fields of its dead letter beside message and time; none where it was delivered
-- Returns 1 where another waits, else 0. A message that is not the head was taken out
-- before: then nothing is changed.
local lane, lanes, waiting, tries, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, entity, life, leaseMs, mostLetters = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function headId()
  local head = redis.call('LINDEX', lane, 0)
  return head and string.match(head, '^[^ ]+')
end

if id ~= '' and headId() == id then
  local text = redis.call('LPOP', lane)
  redis.call('HDEL', tries, entity)
  if redis.call('DECR', waiting) < 0 then redis.call('SET', waiting, '0') end
  if #ARGV > 5 then
    redis.call('XADD', dead, 'MAXLEN', '~', mostLetters, '*', 'message', text, 'at', string.format('%.0f', now),
      unpack(ARGV, 6))
  end
end

local following = headId()
if following then redis.call('ZADD', lanes, string.format('%.0f', now + leaseMs), entity)
else redis.call('ZREM', lanes, entity) end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], life) end
return following and 1 or 0
