-- Begins a write with an idempotency key, or tells what became of the first one.
--
-- KEYS  1 the write
-- ARGV  1 fingerprint of its content  2 holder  3 milliseconds the key is the holder's
-- Returns { 'run' }, { 'wait' }, { 'conflict' } (the key was used for other content) or { 'done', answer }.
local write = KEYS[1]
local fingerprint, holder, claimMs = ARGV[1], ARGV[2], ARGV[3]

local first = redis.call('HMGET', write, 'fingerprint', 'answer')
if not first[1] then
  redis.call('HSET', write, 'fingerprint', fingerprint, 'holder', holder)
  redis.call('PEXPIRE', write, claimMs)
  return { 'run' }
end
if first[1] ~= fingerprint then return { 'conflict' } end
if first[2] then return { 'done', first[2] } end
return { 'wait' }
