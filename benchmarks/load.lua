-- Bodies from a file, a request per line, the next one each time. One with a path of its own: path, tab, body.
local requests, sent = {}, 0

function init(args)
   local method, path, authorization, file = args[1], args[2], args[3], args[4]
   local headers = { ["Content-Type"] = "application/json", ["Authorization"] = authorization, ["Host"] = "127.0.0.1" }
   for line in io.lines(file) do
      local own_path, body = line:match("^([^\t]*)\t(.*)$")
      requests[#requests + 1] = wrk.format(method, own_path or path, headers, body or line)
   end
end

function request()
   sent = sent + 1
   return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "seconds": %.6f, "failures": %d, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f}\n',
      summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
      latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
