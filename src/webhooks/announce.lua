-- Takes in a message once, for each endpoint that wants it.
--
-- KEYS  1 taken (string, present where this message came before)  2 dead letters  3.. see enqueue.lua
-- ARGV  1 life of 'taken' (s), '0' to take it in again  2 entity  3 id  4 type  5 body  6 most in a lane
--       7 most of an endpoint  8 life (s)  9 ms of the claim  10 most dead letters  11.. endpoints
-- Returns { outcome of each endpoint }, see enqueue.lua; nothing where it came before.
local remembered = ARGV[1]
local message = { entity = ARGV[2], id = ARGV[3], type = ARGV[4], body = ARGV[5] }
local limits = {
  lane = tonumber(ARGV[6]), endpoint = tonumber(ARGV[7]), life = ARGV[8], leaseMs = tonumber(ARGV[9]), letters = ARGV[10],
}

if remembered ~= '0' and not redis.call('SET', KEYS[1], '1', 'NX', 'EX', remembered) then return {} end
return enqueue(message, limits, 2)
