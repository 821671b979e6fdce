-- Applies submissions of different members with an idempotency key each; one whose key was used before is not applied
-- again. One script for many costs less than half of many scripts.
--
-- KEYS  1 to 5 as in apply.lua, with ranks  then an idempotency key for each submission
-- ARGV  1 to 6 as in apply.lua  7 TTL of those keys (s)
--       then five per submission: fingerprint of its content, and four as in apply.lua
-- Returns { 'turned', now } if the season is wrong, else { 'ok' or 'first' } and for each submission a text with one line each for:
-- fingerprint, total, score ('' if it was refused), rank, previous rank; as of when it was first applied.
local onceTtl = ARGV[7]

local board, moment = openBoard(KEYS[1], ARGV[2], ARGV[3])
if not board then return { 'turned', moment } end

local answers, fresh, at = { 'ok' }, {}, {}
for i = 1, #KEYS - 5 do
  local known = redis.call('GET', KEYS[5 + i])
  if known then answers[i + 1] = known
  else
    fresh[#fresh + 1] = i
    at[#at + 1] = 5 * i + 4
  end
end
if #fresh == 0 then return answers end

local applied = apply(board, at)
answers[1] = applied[1]
for n, i in ipairs(fresh) do
  local score = applied[3 * n]
  local text = table.concat({ ARGV[5 * i + 3], applied[2], score, applied[3 * n + 1], applied[3 * n + 2] }, '\n')
  answers[i + 1] = text
  -- A refused one changed nothing, so a repeat is tried again.
  if score ~= '' then redis.call('SET', KEYS[5 + i], text, 'EX', onceTtl) end
end
return answers
