-- Whether the sum is exact (Knuth's TwoSum).
local function isExactSum(a, b, sum)
  local part = sum - a
  return (a - (sum - part)) + (b - part) == 0
end

-- Combines a submission with a member's score. Numbers are passed and returned as text that parses as the same double:
-- Lua formats numbers with 14 digits, and Redis truncates numbers in script replies.
--
-- Returns the new score; nil if the member keeps its score, false if a double cannot hold the sum: it is infinite, or a
-- sum of integers of up to 64 bits that would lose digits.
local function scoreAfter(previous, text, mode, isDesc)
  if not previous then return text end
  local score = tonumber(text)
  if mode == 'increment' then
    local added = score
    score = previous + added
    if score == math.huge or score == -math.huge then return false end
    local isCount = math.abs(score) < 2 ^ 64 and added % 1 == 0 and previous % 1 == 0
    if isCount and not isExactSum(previous, added, score) then return false end
    text = string.format('%.17g', score)
  end
  if score == previous or (mode == 'best' and (score > previous) ~= isDesc) then return nil end
  return text
end
