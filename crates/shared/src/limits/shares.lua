-- Divides limits among nodes. Each key is one counter: a hash of node to "share expiry", in which the
-- shares of all nodes never add up to more than the limit. Answers, for each key, this node's share
-- and what the others have.
--
-- KEYS[1]: the moment from which shares may grow. KEYS[2]: this node's token. KEYS[3..]: counters.
-- ARGV[1]: node. ARGV[2]: the token that the claim goes with; if it is not the node's any more, the claim
-- comes late: nothing changes, and nothing is answered. ARGV[3]: "1" if it held shares before. Then for
-- each counter: limit, what the node keeps, what it wants besides, what it would like beyond that,
-- milliseconds until its share expires.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local grows_at = tonumber(redis.call('GET', KEYS[1]))
if not grows_at then
  -- This store is new, or has lost what it held: who held shares may say so first.
  grows_at = now
  if ARGV[3] == '1' then grows_at = now + 3000 end
  redis.call('SET', KEYS[1], string.format('%.0f', grows_at))
end
local answer = {}
for place = 3, #KEYS do
  local key = KEYS[place]
  local at = 4 + (place - 3) * 5
  local most, keeps = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local wants, likes = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local ends = now + tonumber(ARGV[at + 4])
  local others, last = 0, ends
  local fields = redis.call('HGETALL', key)
  for field = 1, #fields, 2 do
    local share, expiry = string.match(fields[field + 1], '^(%d+) (%d+)$')
    share, expiry = tonumber(share), tonumber(expiry)
    if expiry <= now then
      redis.call('HDEL', key, fields[field])
    elseif fields[field] ~= ARGV[1] then
      others = others + share
      if expiry > last then last = expiry end
    end
  end
  local more = 0
  if now >= grows_at then
    local free = math.max(0, most - others - keeps)
    more = math.min(wants, free)
    if wants > 0 and free > wants then
      -- Ever less the less there is, so that little lies idle at one node when another needs it.
      more = more + math.min(likes, math.floor((free - wants) / 4))
    end
  end
  local share = keeps + more
  redis.call('HSET', key, ARGV[1], string.format('%.0f %.0f', share, ends))
  redis.call('PEXPIREAT', key, string.format('%.0f', last + 1000))
  answer[#answer + 1] = string.format('%.0f', share)
  answer[#answer + 1] = string.format('%.0f', others)
end
return answer
