-- Make the groups that are not there.
-- KEYS: (events, again) for each name. ARGV: group, and from where it reads the events: '$' or '0'.
local made = 0
for i, key in ipairs(KEYS) do
  local start = i % 2 == 1 and ARGV[2] or '0'
  local answer = redis.pcall('XGROUP', 'CREATE', key, ARGV[1], start, 'MKSTREAM')
  if answer.err then
    if not string.find(answer.err, 'BUSYGROUP', 1, true) then return answer end
  else
    made = made + 1
  end
end
return made
