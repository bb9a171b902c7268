"""A website in Python that signs people in with persona. Standard library only; see ../README.md."""

import hashlib, hmac, html, http.server, json, os, secrets, ssl, sys, time, urllib.parse, urllib.request
from pathlib import Path

PERSONA, AUDIENCE = os.environ.get("PERSONA_ORIGIN"), os.environ.get("AUDIENCE")
if not PERSONA or not AUDIENCE:
    sys.exit("set PERSONA_ORIGIN to the identity host's origin and AUDIENCE to your own,"
             " such as https://example.com and https://shop.example.com")
VERIFIER = os.environ.get("VERIFIER") or PERSONA + "/persona/v2"
HOST, PORT = (os.environ.get("LISTEN") or "127.0.0.1:8004").rsplit(":", 1)
TLS = ssl.create_default_context(cafile=os.environ.get("CA_FILE") or None)
PAGES = Path(__file__).parent.parent / "pages"
SECURE = AUDIENCE.startswith("https:")
COOKIE = "__Host-session" if SECURE else "session"  # with __Host- no neighbour of the site can set it
# All that include.js needs is its host in script-src.
POLICY = (f"default-src 'none'; script-src 'self' {PERSONA}; style-src 'self'; form-action 'self';"
          " base-uri 'none'; frame-ancestors 'none'")
SECRET = secrets.token_bytes(32)  # makes a session's token from its id
sessions = {}  # id in the cookie: (address, end), of the people who are signed in


def token(session_id):
    return hmac.new(SECRET, session_id.encode(), hashlib.sha256).hexdigest()


def verify(assertion):
    """Has an assertion verified. The audience stops another site from using those that it was given."""
    body = json.dumps({"assertion": assertion, "audience": AUDIENCE}).encode()
    request = urllib.request.Request(VERIFIER, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10, context=TLS) as response:
        return json.load(response)


class Site(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        if self.path in ("/sign-in.js", "/style.css"):
            kind = "text/javascript" if self.path.endswith(".js") else "text/css"
            return self.answer(200, (PAGES / self.path[1:]).read_text(), {"Content-Type": kind})
        if self.path != "/":
            return self.answer(404, "There is no such page.")
        session_id = self.session_id()
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
        if not session_id:
            session_id = self.new_id(headers)
        email, end = sessions.get(session_id, ("", 0))
        page = (PAGES / ("signed-in.html" if time.time() < end else "signed-out.html")).read_text()
        for name, value in (("Persona", PERSONA), ("CSRF", token(session_id)), ("Email", email)):
            page = page.replace("{{." + name + "}}", html.escape(value))
        self.answer(200, page, headers)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode(errors="replace"))) if 0 < length < 65536 else {}
        session_id = self.session_id()
        if not session_id or not hmac.compare_digest(form.get("csrf", "").encode(), token(session_id).encode()):
            return self.answer(403, "This page was too old. Go back, load it anew and try again.")
        if self.path not in ("/sign-in", "/sign-out"):
            return self.answer(404, "There is no such page.")
        headers = {"Location": "/"}
        new_id = self.new_id(headers)  # never the one from before: an attacker may know it
        if self.path == "/sign-in":
            try:
                verdict = verify(form.get("assertion", ""))
            except (OSError, ValueError) as fault:
                self.log_error("asking the verifier: %s", fault)
                return self.answer(502, "Signing in is not possible at the moment.")
            if verdict["status"] != "okay":
                self.log_error("an assertion was refused: %r", verdict.get("reason"))
                return self.answer(403, "You were not signed in.")
            for other in [other for other, (_, end) in list(sessions.items()) if end < time.time()]:
                sessions.pop(other, None)
            sessions[new_id] = (verdict["email"], time.time() + 8 * 3600)
        sessions.pop(session_id, None)
        self.answer(303, "", headers)

    def session_id(self):
        pairs = [pair.partition("=") for pair in self.headers.get("Cookie", "").split("; ")]
        return next((value for name, _, value in pairs if name == COOKIE), "")

    def new_id(self, headers):
        new_id = secrets.token_urlsafe(32)
        headers["Set-Cookie"] = f"{COOKIE}={new_id}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if SECURE else "")
        return new_id

    def answer(self, status, text, headers=None):
        body = text.encode()
        self.send_response(status)
        base = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": len(body),
                "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in {**base, **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer((HOST, int(PORT)), Site).serve_forever()
