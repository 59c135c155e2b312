-- How many entries groups have still to end. KEYS: (events, again, delayed) for each group and name. ARGV: the groups, and
-- the most that is counted one by one. Answers a number for each; -1 where there is no such group.
local most = tonumber(ARGV[#ARGV])

-- A server before 7.0 does not say how many were not read yet, and a newer one not of every group.
local function unread(key, last)
  local count, start = 0, '(' .. last
  repeat
    local some = redis.call('XRANGE', key, start, '+', 'COUNT', 100)
    count = count + #some
    if #some > 0 then start = '(' .. some[#some][1] end
  until #some < 100 or count >= most
  return count
end

local function unended(key, name)
  if redis.call('EXISTS', key) == 0 then return -1 end
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group = {}
    for i = 1, #row, 2 do group[row[i]] = row[i + 1] end
    if group.name == name then
      return group.pending + (group.lag or unread(key, group['last-delivered-id']))
    end
  end
  return -1
end

local found = {}
for i = 1, #KEYS, 3 do
  local number = unended(KEYS[i], ARGV[(i + 2) / 3])
  if number >= 0 then
    number = number + redis.call('XLEN', KEYS[i + 1]) + redis.call('ZCARD', KEYS[i + 2])
  end
  found[#found + 1] = number
end
return found
