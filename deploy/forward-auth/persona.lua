-- HAProxy asks persona who is signed in: see haproxy.cfg. Change the two lines below.
local persona  = "https://10.0.0.2:443"  -- where it listens
local identity = "id.example.com"        -- the identity host, whose certificate it shows

local fields = { "Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Id", "X-Persona-Assertion" }

-- What describes the connection or the body, and not the request.
local dropped = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["te"] = true, ["trailer"] = true, ["upgrade"] = true,
	["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true, ["accept-encoding"] = true,
}

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status })
	for name, values in pairs(headers) do
		if not dropped[name:lower()] then
			for _, value in pairs(values) do
				reply:add_header(name, value)
			end
		end
	end
	reply:set_body(body or "")
	txn:done(reply)
end

core.register_action("persona", { "http-req" }, function(txn)
	local question = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		-- A client sends some of these; what is not said here must not be said by it.
		if not dropped[name] and not name:find("^x%-forwarded%-") and not name:find("^x%-original%-") then
			local list = {}
			for i = 0, #values do
				list[#list + 1] = values[i]
			end
			question[name] = list
		end
	end
	question["host"] = { identity }
	question["x-forwarded-host"] = { txn.sf:req_hdr("host") }
	question["x-forwarded-method"] = { txn.sf:method() }
	question["x-forwarded-uri"] = { txn.sf:pathq() }
	question["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
	question["x-forwarded-for"] = { txn.sf:src() }

	local answer = core.httpclient():get({ url = persona .. "/persona/forward-auth?redirect=yes", headers = question, timeout = 10000 })
	if not answer or not answer.status or answer.status < 200 then
		txn:Warning("persona does not answer")
		return refuse(txn, 503, { ["retry-after"] = { "5" }, ["cache-control"] = { "no-store" } })
	end
	if answer.status ~= 200 then
		return refuse(txn, answer.status, answer.headers, answer.body)
	end
	for _, name in ipairs(fields) do
		local value = answer.headers[name:lower()]
		if value then
			txn.http:req_set_header(name, value[0])
		end
	end
	local cookie = answer.headers["set-cookie"]
	if cookie then
		txn:set_var("txn.persona_cookie", cookie[0])
	end
end)
