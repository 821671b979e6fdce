-- What a submission makes of a member's score. Numbers are taken as text and given back as text that reads back as the
-- same double: Lua's own way to write a number keeps 14 digits, and Redis' replies to scripts none after the point.
--
-- Returns the new score; nil where the member keeps its own, false where the sum is no number any more.
local function scoreAfter(previous, text, mode, isDesc)
  if not previous then return text end
  local score = tonumber(text)
  if mode == 'increment' then
    score = previous + score
    if score == math.huge or score == -math.huge then return false end
    text = string.format('%.17g', score)
  end
  if score == previous or (mode == 'best' and (score > previous) ~= isDesc) then return nil end
  return text
end
