-- Give back to the group what a member has, except for some; at the end the member's name is forgotten.
-- KEYS: (events, again) for each name. ARGV: group, member, channel, names, 1 if it leaves, then those to except, each
-- as its stream's number, a space and its id.
local group, member, leaves = ARGV[1], ARGV[2], ARGV[5] == '1'
local except, given = {}, 0
for i = 6, #ARGV do except[ARGV[i]] = true end
for i = 1, #KEYS, 2 do
  for number = i, i + 1 do
    local key, start, rows = KEYS[number], '-', nil
    repeat
      rows = redis.pcall('XPENDING', key, group, start, '+', 100, member)
      if rows.err then return rows end
      for _, row in ipairs(rows) do
        local id = row[1]
        start = '(' .. id
        if not except[number .. ' ' .. id] then
          local entry = redis.call('XRANGE', key, id, id)[1]
          if entry then
            local fields = {}
            for j = 1, #entry[2], 2 do fields[entry[2][j]] = entry[2][j + 1] end
            redis.call('XADD', KEYS[i + 1], '*', 'n', fields.n or '1', 'a', fields.a or '', 'd', fields.d or '')
            given = given + 1
          end
          redis.call('XACK', key, group, id)
          if number == i + 1 then redis.call('XDEL', key, id) end
        end
      end
    until #rows < 100
    if leaves then
      redis.call('XGROUP', 'DELCONSUMER', key, group, member)
    end
  end
end
if given > 0 then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return given
