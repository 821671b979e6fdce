-- Replaces entries of an order's timeline. One that is no longer there is left out.
--
-- KEYS  1 order  2 timeline
-- ARGV  entry, its replacement, entry, its replacement, ...
-- Returns how many were replaced.
local order, timeline = KEYS[1], KEYS[2]

local replacements = {}
for i = 1, #ARGV, 2 do replacements[ARGV[i]] = ARGV[i + 1] end

local replaced, difference = 0, 0
for i, entry in ipairs(redis.call('LRANGE', timeline, 0, -1)) do
  local replacement = replacements[entry]
  if replacement then
    redis.call('LSET', timeline, i - 1, replacement)
    replaced, difference = replaced + 1, difference + #replacement - #entry
  end
end
if difference ~= 0 then redis.call('HINCRBY', order, 'timelineBytes', difference) end
return replaced
