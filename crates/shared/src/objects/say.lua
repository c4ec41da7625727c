-- Says what one node knows of objects, so that the others can look it up (look.lua).
--
-- KEYS[1]: what all keys begin with. ARGV[1]: node. ARGV[2]: milliseconds for which the node will have
-- more to say, 0 if this is all, nothing to leave that as it was. ARGV[3]: most objects of one list. ARGV[4]: milliseconds that objects last
-- which do not last for ever. Then seven for each change: "made", id, object as JSON, owner, kind, time in
-- microseconds, and of "lasts", "listed", "both" or "" what holds; or "gone", id and five of nothing.
-- Answers since when this store has known of objects, and the version of the models.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('SET', prefix .. ':since', string.format('%.0f', now), 'NX')
if ARGV[2] == '0' then
  redis.call('ZREM', prefix .. ':saying', ARGV[1])
elseif ARGV[2] ~= '' then
  redis.call('ZADD', prefix .. ':saying', string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
end
local function list_of(owner, kind) return prefix .. ':of:' .. kind .. ':' .. owner end
local function models_changed() redis.call('INCR', prefix .. ':models-version') end

local function made(id, text, owner, kind, at, how)
  local key = prefix .. ':id:' .. id
  local lasts = how == 'lasts' or how == 'both'
  -- The first to make an id has it.
  local is_new
  if lasts then
    is_new = redis.call('SET', key, text, 'NX')
  else
    local left = tonumber(at) / 1000 + tonumber(ARGV[4]) - now
    if left < 1 then return end
    is_new = redis.call('SET', key, text, 'NX', 'PX', string.format('%.0f', left))
  end
  if not is_new then return end
  if how == 'listed' or how == 'both' then
    local list = list_of(owner, kind)
    redis.call('ZADD', list, at, id .. '\n' .. cjson.decode(text)['backend'])
    redis.call('ZREMRANGEBYRANK', list, 0, -tonumber(ARGV[3]) - 1)
    if not lasts then
      local oldest = (now - tonumber(ARGV[4])) * 1000
      redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', oldest))
      redis.call('PEXPIRE', list, ARGV[4])
    end
  end
  if kind == 'fine-tuned-model' and redis.call('HLEN', prefix .. ':models') < 10000 then
    redis.call('HSET', prefix .. ':models', id, text)
    models_changed()
  end
end

local function gone(id)
  local key = prefix .. ':id:' .. id
  local text = redis.call('GET', key)
  if not text then return end
  local known = cjson.decode(text)
  redis.call('DEL', key)
  redis.call('ZREM', list_of(known['owner'], known['kind']), id .. '\n' .. known['backend'])
  if redis.call('HDEL', prefix .. ':models', id) == 1 then models_changed() end
end

for at = 5, #ARGV, 7 do
  if ARGV[at] == 'made' then
    made(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
  else
    gone(ARGV[at + 1])
  end
end
return { redis.call('GET', prefix .. ':since'), redis.call('GET', prefix .. ':models-version') or '0' }
