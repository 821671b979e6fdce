-- Applies submissions in order, atomically, and returns each member's ranks after and before the call.
--
-- KEYS  1 to 5 as in apply.lua  6 idempotency key of the call, omitted if there is none
-- ARGV  1 to 6 as in apply.lua  7 fingerprint of the call's content  8 TTL of that key (s)
--       then four per submission, as in apply.lua
-- Returns { 'turned', now } if the season is wrong, the result of apply.lua, or, if the key was used before,
-- { 'known', the fingerprint and the stored result, one line each }.
local once, fingerprint, onceTtl = KEYS[6], ARGV[7], ARGV[8]
local known = once and redis.call('GET', once)
if known then return { 'known', known } end

local board, moment = openBoard(KEYS[1], ARGV[2], ARGV[3])
if not board then return { 'turned', moment } end

local at = {}
for i = 1, (#ARGV - 8) / 4 do at[i] = 4 * i + 5 end
local answer = apply(board, at)
if once then redis.call('SET', once, fingerprint .. '\n' .. table.concat(answer, '\n'), 'EX', onceTtl) end
return answer
