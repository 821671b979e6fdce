-- Runs the scripts before it, the functions of the list `scripts`, once for each call of a batch.
--
-- KEYS  the keys of all calls, one after the other
-- ARGV  1 of each call the script's number and the numbers of keys and arguments, '1 2 8 3 2 8'
--       2.. the arguments of all calls, one after the other
-- Returns the reply of each call, an error in the place of one that failed. If the caller does not know the current run
-- (run.lua), the whole batch fails and is repeated.
local counts = ARGV[1]
local replies, keysBefore, argumentsBefore = {}, 0, 1

for number, keyCount, argumentCount in string.gmatch(counts, '(%d+) (%d+) (%d+)') do
  local keys, arguments = {}, {}
  for i = 1, tonumber(keyCount) do keys[i] = KEYS[keysBefore + i] end
  for i = 1, tonumber(argumentCount) do arguments[i] = ARGV[argumentsBefore + i] end
  keysBefore, argumentsBefore = keysBefore + #keys, argumentsBefore + #arguments

  local isDone, reply = pcall(scripts[tonumber(number)], keys, arguments)
  if not isDone then
    local message = type(reply) == 'table' and reply.err or tostring(reply)
    if string.find(message, 'WRONGRUN ', 1, true) or string.find(message, 'UNSETTLED ', 1, true) then error(reply) end
    reply = redis.error_reply(message)
  end
  -- A nil would end the list.
  replies[#replies + 1] = reply or false
end
return replies
