-- Takes from a sliding window of slots, all or nothing. A refused take does not count.
-- sliding-window.ts describes the guarantee.
--
-- The state is one hash: 'head' (oldest non-empty slot), 'total' (sum of the slots), 'last' (time of the last
-- take), 'shift', and the slots by number. Each slot is deleted once, by the first take after it left the window, so
-- the work is constant on average and at most one pass over the slots. Time here is Redis' clock plus 'shift': if the
-- clock goes back, the shift grows by as much, so time never repeats. A hash that this script cannot have written is
-- deleted and counts as an empty window, because its fields bound the loops.
--
-- KEYS  1 window
-- ARGV  1 limit  2 window (µs)  3 slots a window  4 cost
-- Returns { allowed 0|1, left in the window, µs until the same is allowed (-1 never), µs until empty, Redis' clock (µs) }
local window = KEYS[1]
local limit, length, slots, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slotLength = length / slots

local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]
local function name(number) return string.format('%.0f', number) end
local function whole(text) return text and #text <= 16 and string.match(text, '^%d+$') and tonumber(text) end

local state = redis.call('HMGET', window, 'head', 'total', 'last', 'shift')
local head, total, last, shift = whole(state[1]), whole(state[2]), whole(state[3]), whole(state[4])
if state[3] or state[1] then
  local newest = last and math.floor(last / slotLength)
  local isOurs = head and total and last and shift and head <= newest and head >= newest - slots - 1
  if not isOurs then
    redis.call('DEL', window)
    head, total, last, shift = nil, 0, 0, 0
  end
end
total, last, shift = total or 0, last or 0, shift or 0
if clock + shift < last then
  shift = last - clock
  redis.call('HSET', window, 'shift', name(shift))
end
local now = clock + shift

local slot = math.floor(now / slotLength)
local oldest = math.floor((now - length) / slotLength)
head = head or slot
local function countOf(number) return whole(redis.call('HGET', window, name(number))) or 0 end
local function leavesAfter(number) return math.ceil((number + 1) * slotLength + length - now) end

if total > 0 and math.floor(last / slotLength) < oldest then
  redis.call('DEL', window)
  head, total = slot, 0
end
local wasHead = head
for number = head, slot do
  local count = total > 0 and countOf(number) or 0
  head = number
  if total == 0 or (number >= oldest and count > 0) then break end
  if count > 0 then redis.call('HDEL', window, name(number)) end
  total = total - count
end
if head ~= wasHead then redis.call('HSET', window, 'head', name(head), 'total', name(total)) end

if total + cost > limit then
  local untilEmpty = total > 0 and leavesAfter(math.floor(last / slotLength)) or 0
  local freed = 0
  for number = head, cost > limit and head - 1 or slot do
    freed = freed + countOf(number)
    if total + cost - freed <= limit then return { 0, limit - total, leavesAfter(number), untilEmpty, clock } end
  end
  return { 0, limit - total, -1, untilEmpty, clock }
end

if total == 0 then head = slot end
total = total + cost
redis.call('HSET', window, name(slot), name(countOf(slot) + cost))
redis.call('HSET', window, 'head', name(head), 'total', name(total), 'last', name(now), 'shift', name(shift))
redis.call('PEXPIRE', window, name((length + slotLength) / 1000 + 1000))
return { 1, limit - total, 0, leavesAfter(slot), clock }
