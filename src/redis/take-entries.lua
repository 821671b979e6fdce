-- Reads a stream's next entries for whoever has the turn; a turn is a lease that each call renews. A missing group is
-- made anew, to begin with the stream's first entry.
--
-- KEYS  1 stream  2 lease
-- ARGV  1 group  2 consumer  3 lease (ms)  4 most entries, 0 to renew only  5 '' for new entries, else where to go on
--       with those that others left pending ('-' to begin)  6 deliveries after which a pending entry is a suspect
-- Returns { 'standby' } where another has the turn, { 'begun' } where it was just taken and nothing was read, else
-- { 'turn', where to go on ('' when through; where nothing is new, the last id delivered), id, deliveries, fields, ... }.
-- Suspects are claimed without counting a delivery.
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, leaseMs, most, from, suspectAfter =
  ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local holder = redis.call('GET', lease)
if holder and holder ~= consumer then return { 'standby' } end
redis.call('SET', lease, consumer, 'PX', leaseMs)
if not holder then return { 'begun' } end
if most == 0 then return { 'turn', from } end

local function inGroup(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.sub(reply.err, 1, 7) ~= 'NOGROUP' then return reply end
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  return redis.call(...)
end

local answer = { 'turn', '' }
local function add(entry, deliveries)
  if not entry or not entry[2] then return end
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = deliveries
  answer[#answer + 1] = entry[2]
end

if from == '' then
  local read = inGroup('XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', stream, '>')
  if read and read.err then return read end
  if read then
    for _, entry in ipairs(read[1][2]) do add(entry, 1) end
    return answer
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if info[2] == group then answer[2] = info[8] end
  end
  return answer
end

local pending = inGroup('XPENDING', stream, group, from, '+', most)
if pending.err then return pending end
for _, item in ipairs(pending) do
  local id, deliveries = item[1], item[4]
  if deliveries < suspectAfter then
    add(redis.call('XCLAIM', stream, group, consumer, 0, id)[1], deliveries + 1)
  else
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
    add(redis.call('XRANGE', stream, id, id)[1], deliveries)
  end
end
if #pending == most then answer[2] = '(' .. pending[#pending][1] end
return answer
