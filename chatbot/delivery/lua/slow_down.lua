-- Halve the rate after the provider's "too fast", at most once a second and never below one.
--
-- KEYS: the throttle. ARGV: now (empty: this server's clock), messages per second, TTL.
local RECOVERY = 0.01

local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] + t[2] / 1000000
end
local full = tonumber(ARGV[2])
local slow, at = unpack(redis.call('HMGET', KEYS[1], 'slow', 'slow_at'))
slow, at = tonumber(slow), tonumber(at)
if at and now >= at and now - at < 1 then return 0 end
local rate = full
if slow and at then rate = math.min(full, slow + full * RECOVERY * math.max(0, now - at)) end
redis.call('HSET', KEYS[1], 'slow', math.max(1, rate / 2), 'slow_at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
