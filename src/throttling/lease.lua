-- Leases tokens of one bucket to nodes in portions, and takes back what they did not use. What it promises stands in
-- leased-buckets.ts; all of it follows from one sentence that holds after every call: what is in the bucket and what
-- is out on leases is together at most the capacity.
--
-- The state is one string, '<level>:<at>' and for each lease ':<holder>:<tokens>:<ends at>', in millionths of tokens and
-- microseconds of Redis' clock, set together with its TTL. A bucket whose key has expired is a full one without leases.
-- While a lease is out the bucket fills up to the capacity less the lease; a lease that has ended counts as used.
-- Where the clock went back nothing is gained, counting goes on from there, and no lease lasts longer than its life.
--
-- KEYS  1 bucket
-- ARGV  1 capacity (millionths)  2 refill (millionths a microsecond)  3 time a lease stays on record (µs)
--       4 holder (no colon)  5 tokens it still holds and keeps  6 tokens it gives back
--       7 tokens it cannot do without  8 tokens it would like  9 largest share of the bucket beyond its need
--       10 tokens it spends at once where it gets its need
-- Returns { tokens granted, tokens left in the bucket }
local bucket = KEYS[1]
local capacity, refill, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local holder, keeps, returned = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local need, wish, share, spends = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local level, at, isBehind = capacity, now, false
local alive, held, lent, ended, lastEnd = '', 0, 0, 0, 0
local state = redis.call('GET', bucket)
if state then
  local field = string.gmatch(state, '[^:]+')
  level, at = tonumber(field()), tonumber(field())
  isBehind, at = at > now, math.min(at, now)
  for name in field do
    local tokens, ends = tonumber(field()), math.min(tonumber(field()), now + life)
    if ends <= now then ended, lastEnd = ended + tokens, math.max(lastEnd, ends)
    elseif name == holder then held, lent = tokens, lent + tokens
    else alive, lent = alive .. string.format(':%s:%.0f:%.0f', name, tokens, ends), lent + tokens end
  end
end

-- Up to the end of the last lease that ended the bucket had to leave room for it.
if ended > 0 then
  level = math.min(capacity - lent - ended, level + math.floor(math.max(0, lastEnd - at) * refill))
  at = math.max(at, lastEnd)
end
level = math.min(capacity - lent, level + math.floor((now - at) * refill))

-- What a node claims counts only up to what is on record: a repeat or a lost state cannot create tokens.
local back = math.min(returned, held)
local keeping = math.min(held - back, keeps)
level = level + back

local granted = 0
if level >= need then granted = math.max(need, math.min(wish, math.floor(level * share))) end
if granted == 0 and keeping == held and not isBehind then return { 0, level } end

local lease = keeping + granted
if granted > 0 then lease = lease - spends end
level = level - granted
if lease > 0 then alive = alive .. string.format(':%s:%.0f:%.0f', holder, lease, now + life) end
local full = (capacity - level) / refill + (alive ~= '' and life or 0)
redis.call('SET', bucket, string.format('%.0f:%.0f', level, now) .. alive, 'PX', string.format('%.0f', full / 1000 + 1000))
return { granted, level }
