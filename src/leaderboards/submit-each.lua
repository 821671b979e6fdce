-- Takes submissions of different members that have an idempotency key each: what was taken under a key before is not taken
-- again. One script for many costs less than half of many scripts.
--
-- KEYS  1 to 5 as in take.lua, with ranks  then an idempotency key for each submission
-- ARGV  1 to 5 as in take.lua  6 life of those keys (s)
--       then five a submission: what tells its content from another under its key, and four as in take.lua
-- Returns { 'turned', now } where the season is another, else { 'ok' } and for each submission a text with a line for each:
-- what told its content, total, score ('' where it was refused), rank, rank before; as of when it was first taken.
local onceTtl = ARGV[6]

local board, moment = openBoard(KEYS[1], ARGV[2], ARGV[3])
if not board then return { 'turned', moment } end

local answers, fresh, at = { 'ok' }, {}, {}
for i = 1, #KEYS - 5 do
  local known = redis.call('GET', KEYS[5 + i])
  if known then answers[i + 1] = known
  else
    fresh[#fresh + 1] = i
    at[#at + 1] = 5 * i + 3
  end
end
if #fresh == 0 then return answers end

local taken = take(board, at)
for n, i in ipairs(fresh) do
  local score = taken[3 * n]
  local text = table.concat({ ARGV[5 * i + 2], taken[2], score, taken[3 * n + 1], taken[3 * n + 2] }, '\n')
  answers[i + 1] = text
  -- One that was refused changed nothing, so a repeat is judged afresh.
  if score ~= '' then redis.call('SET', KEYS[5 + i], text, 'EX', onceTtl) end
end
return answers
