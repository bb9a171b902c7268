package upstream_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// signingIn starts a website that signs in connections, as IIS does: a challenge, an
// answer to it, and from then on the connection is the person's.
func signingIn(t testing.TB, scheme string) string {
	var mu sync.Mutex
	challenged, owner := map[int]bool{}, map[int]string{}
	_, target := scriptedSite(t, nil, func(conn int, head string) string {
		mu.Lock()
		defer mu.Unlock()
		_, sent, _ := strings.Cut(head, "Authorization: "+scheme+" ")
		sent, _, _ = strings.Cut(sent, "\r\n")
		challenge := scheme
		switch {
		case sent == "type1":
			challenged[conn] = true
			challenge += " type2"
		case strings.HasPrefix(sent, "type3 ") && challenged[conn]:
			owner[conn] = strings.TrimPrefix(sent, "type3 ")
		}
		if owner[conn] == "" {
			return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + challenge + "\r\nContent-Length: 0\r\n\r\n"
		}
		body := "the mailbox of " + owner[conn]
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	return target
}

// Over HTTP/2 such a login cannot last. It is never shared, and the log says what
// to do.
func TestConnectionLoginOverHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, signingIn(t, "NTLM"), options{})
	client := s.client(t, true)
	for _, authorization := range []string{"NTLM type1", "NTLM type3 alice", "", "NTLM type1"} {
		res, body := get(t, client, "https://example.com/mail", func(r *http.Request) { r.Header.Set("Authorization", authorization) })
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d %q", authorization, res.StatusCode, body)
		}
	}
	lines := 0
	for range 4 {
		s.line(t)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "domains[].http2: false") {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines name the key: %s", lines, s.log.String())
	}
}
