-- Acknowledge deliveries that were not taken over. KEYS: (events, again) for each name.
-- ARGV: group, member, then (number of the stream, id, times delivered) for each.
for i = 3, #ARGV, 3 do
  local number, id = tonumber(ARGV[i]), ARGV[i + 1]
  local known = redis.pcall('XPENDING', KEYS[number], ARGV[1], id, id, 1)
  if known.err then return known end
  if known[1] and known[1][2] == ARGV[2] and known[1][4] == tonumber(ARGV[i + 2]) then
    redis.call('XACK', KEYS[number], ARGV[1], id)
    if number % 2 == 0 then redis.call('XDEL', KEYS[number], id) end
  end
end
