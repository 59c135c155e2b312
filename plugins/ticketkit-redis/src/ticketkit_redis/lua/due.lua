-- Claim timers that are due, longest due first. KEYS: waiting, held, due, token.
-- ARGV: limit, lease in microseconds, token. Answers keys and due times by turns.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text, 'LIMIT', 0, 10000)) do
  -- The old token stays until somebody takes the timer over: it may still be done under it.
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZADD', KEYS[1], redis.call('HGET', KEYS[3], key), key)
end
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', KEYS[1], key)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), key)
  redis.call('HSET', KEYS[4], key, ARGV[3])
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', KEYS[3], key)
end
return found
