-- Takes submissions in order, all at one moment, and tells where each member stands after and stood before the call.
--
-- KEYS  1 to 5 as in take.lua  6 idempotency key of the call, left out where there is none
-- ARGV  1 to 5 as in take.lua  6 what tells the call's content from another under its key  7 life of that key (s)
--       then four a submission, as in take.lua
-- Returns { 'turned', now } where the season is another, what take.lua tells, or, where the key was used before,
-- { 'known', the fingerprint and the parts of the answer then, a line each }.
local once, fingerprint, onceTtl = KEYS[6], ARGV[6], ARGV[7]
local known = once and redis.call('GET', once)
if known then return { 'known', known } end

local board, moment = openBoard(KEYS[1], ARGV[2], ARGV[3])
if not board then return { 'turned', moment } end

local at = {}
for i = 1, (#ARGV - 7) / 4 do at[i] = 4 * i + 4 end
local answer = take(board, at)
if once then redis.call('SET', once, fingerprint .. '\n' .. table.concat(answer, '\n'), 'EX', onceTtl) end
return answer
