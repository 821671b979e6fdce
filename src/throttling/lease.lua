-- Leases tokens to nodes and takes back unused ones, for many buckets of one rule in one call, each independently.
-- leased-bucket-limiter.ts describes the guarantees; they follow from one invariant that holds after every call: the
-- tokens in the bucket plus the leased ones are at most the capacity.
--
-- The state is one string, '<level>:<at>' and for each lease ':<holder>:<tokens>:<ends at>', in millionths of tokens and
-- microseconds of Redis' clock, set together with its TTL. A missing key is a full bucket without leases.
-- While tokens are leased the bucket refills up to the capacity minus the leases; an expired lease counts as used.
-- If the clock went back nothing is refilled, counting continues from there, and no lease lasts longer than its life.
--
-- KEYS  the buckets, on Cluster one
-- ARGV  1 capacity (millionths)  2 refill (millionths a microsecond)  3 time a lease stays on record (µs)
--       4 max share of a bucket beyond the required tokens, then for each bucket
--       1 holder (no colon)  2 tokens retained  3 tokens released  4 tokens required
--       5 tokens requested  6 tokens consumed immediately if the required ones are granted
-- Returns for each bucket, one after the other: tokens granted, tokens left in the bucket
local capacity, refill, life, share = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local format = string.format

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function lease(bucket, holder, retained, released, required, requested, consumed)
  local level, at, isBehind = capacity, now, false
  local others, held, leased, ended, lastEnd = '', 0, 0, 0, 0
  local last, lastAt, leases = string.match(redis.call('GET', bucket) or '', '^(%d+):(%d+)(.*)$')
  if last then
    level, at = tonumber(last), tonumber(lastAt)
    isBehind, at = at > now, math.min(at, now)
    for name, amount, endsAt in string.gmatch(leases, ':([^:]+):(%d+):(%d+)') do
      local tokens, ends = tonumber(amount), math.min(tonumber(endsAt), now + life)
      if ends <= now then ended, lastEnd = ended + tokens, math.max(lastEnd, ends)
      elseif name == holder then held, leased = tokens, leased + tokens
      else others, leased = others .. format(':%s:%.0f:%.0f', name, tokens, ends), leased + tokens end
    end
  end

  -- Until its end, the bucket had to leave room for an expired lease.
  if ended > 0 then
    level = math.min(capacity - leased - ended, level + math.floor(math.max(0, lastEnd - at) * refill))
    at = math.max(at, lastEnd)
  end
  level = math.min(capacity - leased, level + math.floor((now - at) * refill))

  -- A node's claims count only up to what is recorded: a retry or lost state cannot create tokens.
  local back = math.min(released, held)
  local keeping = math.min(held - back, retained)
  level = level + back

  local granted = 0
  if level >= required then granted = math.max(required, math.min(requested, math.floor(level * share))) end
  if granted == 0 and keeping == held and not isBehind then return 0, level end

  local tokens = keeping + granted
  if granted > 0 then tokens = tokens - consumed end
  level = level - granted
  if tokens > 0 then others = others .. format(':%s:%.0f:%.0f', holder, tokens, now + life) end
  local untilFull = (capacity - level) / refill + (others ~= '' and life or 0)
  redis.call('SET', bucket, format('%.0f:%.0f', level, now) .. others, 'PX', format('%.0f', untilFull / 1000 + 1000))
  return granted, level
end

local replies = {}
for number, bucket in ipairs(KEYS) do
  local first = 6 * number - 1
  local amounts = {}
  for part = 1, 5 do amounts[part] = tonumber(ARGV[first + part]) end
  local granted, left = lease(bucket, ARGV[first], unpack(amounts))
  replies[2 * number - 1], replies[2 * number] = granted, left
end
return replies
