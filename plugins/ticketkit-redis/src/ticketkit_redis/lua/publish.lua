-- Append events to their streams, and ring.
-- KEYS: streams. ARGV: channel, names, then (number of a key, attributes, body) for each event.
for i = 3, #ARGV, 3 do
  local added = redis.pcall('XADD', KEYS[tonumber(ARGV[i])], '*', 'a', ARGV[i + 1], 'd', ARGV[i + 2])
  if type(added) == 'table' then return added end
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
