package middleware_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"persona-sidecar/proxy/middleware"
)

// TestTrust: X-Forwarded-For is read past proxies that are listed, and past no other;
// private ones are taken at their word for the client and the scheme, and for nothing else.
func TestTrust(t *testing.T) {
	t.Parallel()
	var loopback, all []netip.Prefix
	loopback = append(loopback, netip.MustParsePrefix("127.0.0.1/32"))
	all = append(loopback, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/64"))
	private := middleware.Trust{Private: true}
	for _, test := range []struct {
		trust  middleware.Trust
		fields string // of X-Forwarded-For, "|" between two
		client string
		doubt  bool
	}{
		{middleware.Trust{}, "6.6.6.6", "127.0.0.1", false},
		{middleware.Trust{Hops: 3}, "6.6.6.6", "127.0.0.1", false},
		{private, "", "127.0.0.1", false},
		{private, "192.0.2.9", "192.0.2.9", false},
		{private, "6.6.6.6, 192.0.2.9", "192.0.2.9", false},
		{private, "6.6.6.6, 10.1.2.3", "10.1.2.3", true},
		{private, "6.6.6.6|10.1.2.3", "10.1.2.3", true},
		{private, "6.6.6.6, ::ffff:10.1.2.3", "10.1.2.3", true},
		{private, "6.6.6.6, [fd00::1]:99", "fd00::1", true},
		{private, "6.6.6.6, 127.0.0.1", "127.0.0.1", false},
		{private, "6.6.6.6, nonsense", "127.0.0.1", false},
		{middleware.Trust{Private: true, Hops: 2}, "6.6.6.6, 192.0.2.9, 10.1.2.3", "192.0.2.9", false},
		{middleware.Trust{Private: true, Hops: 2}, "192.0.2.9", "192.0.2.9", false},
		{middleware.Trust{Private: true, Hops: 2, Listed: all[1:2]}, "6.6.6.6, 192.0.2.9, 10.1.2.3, 10.9.9.9", "192.0.2.9", false},
		{middleware.Trust{Listed: loopback}, "6.6.6.6, 10.1.2.3", "10.1.2.3", false},
		{middleware.Trust{Listed: loopback, Private: true}, "6.6.6.6, 10.1.2.3", "10.1.2.3", false},
		{middleware.Trust{Listed: all}, "6.6.6.6, 192.0.2.9, 10.1.2.3, 10.1.2.4", "192.0.2.9", false},
		{middleware.Trust{Listed: all}, "6.6.6.6, 192.0.2.9, 2001:db8::1", "192.0.2.9", false},
		{middleware.Trust{Listed: loopback, Hops: 2}, "6.6.6.6, 192.0.2.9, 10.1.2.3", "192.0.2.9", false},
	} {
		d := open(t, middleware.Config{Trust: test.trust}, func(w http.ResponseWriter, r *http.Request) {
			rec := middleware.FromContext(r.Context())
			fmt.Fprint(w, rec.Client, " ", rec.Listed, " ", rec.ID == "given")
		})
		request := "GET / HTTP/1.1\r\nHost: example.com\r\nX-Request-Id: given\r\n"
		for line := range strings.SplitSeq(test.fields, "|") {
			request += "X-Forwarded-For: " + line + "\r\n"
		}
		listed := len(test.trust.Listed) > 0 && test.trust.Listed[0] == loopback[0]
		for range 2 {
			if _, body, err := d.send(t, request+"\r\n"); err != nil || body != fmt.Sprint(test.client, " ", listed, " ", listed) {
				t.Errorf("%+v, %q: %q %v, want %s", test.trust, test.fields, body, err, test.client)
			}
			d.message(t, "request")
		}
		want := 0
		if test.doubt {
			want = 1 // for any number of requests
		}
		if n := strings.Count(d.log.String(), "names a private client"); n != want {
			t.Errorf("%+v, %q: %d warnings", test.trust, test.fields, n)
		}
	}
}
