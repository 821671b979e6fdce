-- Reads a stream's next entries for the holder of the leader lease, which each call renews. A missing group is created, to
-- begin with the stream's first entry.
--
-- KEYS  1 stream  2 lease  3 claim: another consumer is to hold the lease
-- ARGV  1 group  2 consumer  3 lease (ms)  4 max entries, 0 to only renew  5 '' for new entries, else where to continue
--       with entries left pending by other consumers ('-' to begin)  6 deliveries after which a pending entry is a suspect
--       7 1 if this consumer claims the lease while another holds it, else 0
-- Returns { 'standby' } if another consumer holds the lease, { 'acquired' } if it was just taken and nothing was read, else
-- { 'leader', where to continue ('' after the last; without new entries the last id delivered), id, deliveries, fields, ... }.
-- With 0 entries to read, the second value is 1 if another consumer claims the lease, else 0.
-- Suspects are claimed without counting a delivery.
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, leaseMs, max, from, suspectAfter =
  ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local holder = redis.call('GET', lease)
if holder and holder ~= consumer then
  if ARGV[7] == '1' then redis.call('SET', KEYS[3], consumer, 'PX', leaseMs) end
  return { 'standby' }
end
redis.call('SET', lease, consumer, 'PX', leaseMs)
if not holder then
  redis.call('DEL', KEYS[3])
  return { 'acquired' }
end
if max == 0 then return { 'leader', redis.call('EXISTS', KEYS[3]) } end

local function inGroup(...)
  local result = redis.pcall(...)
  if type(result) ~= 'table' or not result.err then return result end
  if string.sub(result.err, 1, 7) ~= 'NOGROUP' then return result end
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  return redis.call(...)
end

local reply = { 'leader', '' }
local function add(entry, deliveries)
  if not entry or not entry[2] then return end
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = deliveries
  reply[#reply + 1] = entry[2]
end

if from == '' then
  local read = inGroup('XREADGROUP', 'GROUP', group, consumer, 'COUNT', max, 'STREAMS', stream, '>')
  if read and read.err then return read end
  if read then
    for _, entry in ipairs(read[1][2]) do add(entry, 1) end
    return reply
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if info[2] == group then reply[2] = info[8] end
  end
  return reply
end

local pending = inGroup('XPENDING', stream, group, from, '+', max)
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
if #pending == max then reply[2] = '(' .. pending[#pending][1] end
return reply
