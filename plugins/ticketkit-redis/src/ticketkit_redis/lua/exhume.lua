-- Take a dead letter away, and deliver it again if wanted. KEYS: dead, letter, again. ARGV: id, channel, 1 to deliver.
local letter = redis.call('HMGET', KEYS[2], 'a', 'd', 'name')
if not letter[1] then return 0 end
if ARGV[3] == '1' then
  redis.call('XADD', KEYS[3], '*', 'n', '1', 'a', letter[1], 'd', letter[2])
  redis.call('PUBLISH', ARGV[2], letter[3])
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
