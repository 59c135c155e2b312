-- Make the groups that are not there.
-- KEYS: (events, again) for each name, and where it is noted which groups there are.
-- ARGV: group, from where it reads the events: '$' or '0', then what is noted of each name.
local made, groups = 0, table.remove(KEYS)
for i, key in ipairs(KEYS) do
  local start = i % 2 == 1 and ARGV[2] or '0'
  local answer = redis.pcall('XGROUP', 'CREATE', key, ARGV[1], start, 'MKSTREAM')
  if answer.err then
    if not string.find(answer.err, 'BUSYGROUP', 1, true) then return answer end
  else
    made = made + 1
  end
end
for i = 3, #ARGV do redis.call('ZADD', groups, 0, ARGV[i]) end
return made
