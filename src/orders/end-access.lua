-- Takes the right to read an order from users, before the update is saved that removes them.
--
-- KEYS  1 order  2 parties
-- ARGV  1 id of the update, by which `restore-parties.lua` knows that it was not saved  2... users
-- Returns for each user a mark of the end of its right: the same until the user may read again. None if there is no such
-- order.
local order, parties, update = KEYS[1], KEYS[2], ARGV[1]
if redis.call('EXISTS', order) == 0 then return {} end

local ended, marks = cjson.decode(redis.call('HGET', order, 'ended') or '{}'), {}
for i = 2, #ARGV do
  local user = ARGV[i]
  if redis.call('SREM', parties, user) == 1 or not ended[user] then ended[user] = update end
  marks[#marks + 1] = ended[user]
end
redis.call('HSET', order, 'endsAccess', update, 'ended', cjson.encode(ended))
return marks
