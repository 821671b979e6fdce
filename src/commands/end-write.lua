-- Ends what begin-write.lua began, where the key still is the holder's.
--
-- KEYS  1 the write
-- ARGV  1 holder  2 'answer' to leave one, 'forget' as if it had never begun, 'renew' to go on
--       3 milliseconds that the answer, or the claim, lasts  4 answer
-- Returns 1 where it was the holder's.
local write = KEYS[1]
local holder, act, lastsMs, answer = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('HGET', write, 'holder') ~= holder then return 0 end
if act == 'forget' then return redis.call('DEL', write) end
if act == 'answer' then
  redis.call('HSET', write, 'answer', answer)
  redis.call('HDEL', write, 'holder')
end
redis.call('PEXPIRE', write, lastsMs)
return 1
