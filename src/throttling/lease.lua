-- Leases tokens of buckets to nodes in portions, and takes back what they did not use: of many buckets of one rule in
-- one call, each by itself. What it promises stands in
-- leased-buckets.ts; all of it follows from one sentence that holds after every call: what is in the bucket and what
-- is out on leases is together at most the capacity.
--
-- The state is one string, '<level>:<at>' and for each lease ':<holder>:<tokens>:<ends at>', in millionths of tokens and
-- microseconds of Redis' clock, set together with its TTL. A bucket whose key has expired is a full one without leases.
-- While a lease is out the bucket fills up to the capacity less the lease; a lease that has ended counts as used.
-- Where the clock went back nothing is gained, counting goes on from there, and no lease lasts longer than its life.
--
-- KEYS  the buckets, on Cluster one
-- ARGV  1 capacity (millionths)  2 refill (millionths a microsecond)  3 time a lease stays on record (µs)
--       4 largest share of a bucket beyond the need, then for each bucket
--       1 holder (no colon)  2 tokens it still holds and keeps  3 tokens it gives back  4 tokens it cannot do without
--       5 tokens it would like  6 tokens it spends at once where it gets its need
-- Returns for each bucket, one after the other: tokens granted, tokens left in the bucket
local capacity, refill, life, share = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local format = string.format

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function lease(bucket, holder, keeps, returned, need, wish, spends)
  local level, at, isBehind = capacity, now, false
  local others, held, lent, ended, lastEnd = '', 0, 0, 0, 0
  local last, lastAt, leases = string.match(redis.call('GET', bucket) or '', '^(%d+):(%d+)(.*)$')
  if last then
    level, at = tonumber(last), tonumber(lastAt)
    isBehind, at = at > now, math.min(at, now)
    for name, amount, endsAt in string.gmatch(leases, ':([^:]+):(%d+):(%d+)') do
      local tokens, ends = tonumber(amount), math.min(tonumber(endsAt), now + life)
      if ends <= now then ended, lastEnd = ended + tokens, math.max(lastEnd, ends)
      elseif name == holder then held, lent = tokens, lent + tokens
      else others, lent = others .. format(':%s:%.0f:%.0f', name, tokens, ends), lent + tokens end
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
  if granted == 0 and keeping == held and not isBehind then return 0, level end

  local tokens = keeping + granted
  if granted > 0 then tokens = tokens - spends end
  level = level - granted
  if tokens > 0 then others = others .. format(':%s:%.0f:%.0f', holder, tokens, now + life) end
  local untilFull = (capacity - level) / refill + (others ~= '' and life or 0)
  redis.call('SET', bucket, format('%.0f:%.0f', level, now) .. others, 'PX', format('%.0f', untilFull / 1000 + 1000))
  return granted, level
end

local answers = {}
for number, bucket in ipairs(KEYS) do
  local first = 6 * number - 1
  local amounts = {}
  for part = 1, 5 do amounts[part] = tonumber(ARGV[first + part]) end
  local granted, left = lease(bucket, ARGV[first], unpack(amounts))
  answers[2 * number - 1], answers[2 * number] = granted, left
end
return answers
