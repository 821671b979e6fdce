-- Publishes once: a repeat of an idempotency key returns the first result, anything else is appended and sent.
--
-- KEYS  1 meta  2 log  3 feed  4 idempotency key, the meta key if there is none  5 global timestamp, omitted on Cluster
-- ARGV  1 epoch to start  2 log size  3 log TTL (s)  4 meta TTL (s)  5 head  6 tail  7 idempotency TTL (s)
--       (head and tail as in append.lua)  8 'only find' to publish nothing and find a repeat, else ''
--       9 ',"from":<json>' or ''; not part of the content, because a retry may come over another connection
--       10 who must not receive it (append.lua)
--       11 '' or, if the channel has a joined text, its max bytes; KEYS 5 and 6 are then as follows, 7 is the timestamp:
--          5 the data of all publications that are texts, joined as they stand between the quotes of JSON, so that
--          appending costs only the length of what is new  6 the last publication with other data
-- Returns '<outcome> <epoch> <offset>', one text because four cost more to parse. Outcomes: 'new', 'duplicate' (the first
-- position), 'conflict' (the key was used for different content; nothing was published), 'unknown' (no repeat), 'full'
-- (the joined text would be too long; nothing was published).
local once, onceTtl = KEYS[4], ARGV[7]
local tail = ARGV[6]
local fingerprint

if once ~= KEYS[1] then
  fingerprint = redis.sha1hex(tail)
  local first = redis.call('HMGET', once, 'content', 'epoch', 'offset')
  if first[1] and first[1] ~= fingerprint then return 'conflict' end
  if first[1] then return 'duplicate ' .. first[2] .. ' ' .. first[3] end
end

if ARGV[8] ~= '' then return 'unknown' end
local isJoined, isText, data = ARGV[11] ~= ''
if isJoined then
  -- The name of the event contains no unescaped quote, so this is where the data begins.
  local _, before = string.find(tail, ',"data":', 1, true)
  isText, data = string.byte(tail, before + 1) == 34, string.sub(tail, before + 2, -2)
  if isText and redis.call('STRLEN', KEYS[5]) + #data > tonumber(ARGV[11]) then return 'full' end
end

local epoch, offset = append({
  meta = KEYS[1], log = KEYS[2], feed = KEYS[3], timestampKey = KEYS[isJoined and 7 or 5] or '',
  epoch = ARGV[1], size = ARGV[2], logTtl = ARGV[3], metaTtl = ARGV[4], head = ARGV[5], except = ARGV[10],
}, tail .. ARGV[9])

if isJoined then
  if isText then redis.call('APPEND', KEYS[5], data)
  else redis.call('SET', KEYS[6], '{' .. tail .. ARGV[9] .. '}') end
  redis.call('EXPIRE', KEYS[5], ARGV[3])
  redis.call('EXPIRE', KEYS[6], ARGV[3])
end
if fingerprint then
  redis.call('HSET', once, 'content', fingerprint, 'epoch', epoch, 'offset', offset)
  redis.call('EXPIRE', once, onceTtl)
end
return 'new ' .. epoch .. ' ' .. offset
