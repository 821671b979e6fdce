-- Calls the script that stands before it, as `call(KEYS, ARGV)`, once for each of several who asked for it.
--
-- KEYS  the keys of all calls, one after the other
-- ARGV  1 for each call how many keys and arguments it has, '2 8 2 8'  2.. the arguments of all calls, one after the other
-- Returns what each call returned, an error in the place of one that failed. Where the calls are of another run than the
-- caller knows (run.lua), none has its reply: all are made again.
local counts = ARGV[1]
local replies, keysBefore, argumentsBefore = {}, 0, 1

for keyCount, argumentCount in string.gmatch(counts, '(%d+) (%d+)') do
  local keys, arguments = {}, {}
  for i = 1, tonumber(keyCount) do keys[i] = KEYS[keysBefore + i] end
  for i = 1, tonumber(argumentCount) do arguments[i] = ARGV[argumentsBefore + i] end
  keysBefore, argumentsBefore = keysBefore + #keys, argumentsBefore + #arguments

  local isDone, reply = pcall(call, keys, arguments)
  if not isDone then
    local message = type(reply) == 'table' and reply.err or tostring(reply)
    if string.find(message, 'WRONGRUN ', 1, true) or string.find(message, 'UNSETTLED ', 1, true) then error(reply) end
    reply = redis.error_reply(message)
  end
  -- A hole would end the list.
  replies[#replies + 1] = reply or false
end
return replies
