package field_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/wire"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]field.Kind{
		"Accept X-Remotely X-Forward Remote RemoteUser X-Realip Proxied Hostname Te-X A ": field.Plain,
		"host Content_Length transfer.encoding CONNECTION Proxy pRoxy_authorization HTTP2-Settings Forwarded X.Real.Ip X_Request-ID remote-user Remote_X X-REMOTE-A x-webauth-user X-Auth-Request-X X-Persona-Id X-Forwarded-Preferred-Username X_Forwarded!User X-Forwarded-Port": field.Made,
		"cookie Expect TE Upgrade": field.Edited,
		"X-Forwarded-Prefix x_forwarded_client_cert X-Forwarded-A-Name-That-Is-Longer-Than-Any-Other": field.Claimed,
	} {
		for name := range strings.SplitSeq(names, " ") {
			if got := field.KindOf(name); got != want {
				t.Errorf("%q is of kind %d, want %d", name, got, want)
			}
		}
	}
}

func TestMayTrail(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"X-Sum": true, "Grpc-Status": true, "etag": true, "Server-Timing": true,
		"Set-Cookie": false, "set-cookie": false, "Content-Length": false, "Host": false, "Authorization": false, "Www-Authenticate": false,
		"Cookie": false, "X_Forwarded_For": false, "Remote-User": false, "If-Match": false, "Transfer-Encoding": false, "Connection": false, "Via": false, "Location": false,
	} {
		if field.MayTrail(name) != want {
			t.Errorf("%s may trail: %t", name, !want)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	h := http.Header{"Www-Authenticate": {"b", "a"}, "Etag": {"e"}, "Accept": {""}}
	fields := field.FromHeader(h)
	want := wire.Fields{{Name: "Accept", Value: ""}, {Name: "ETag", Value: "e"}, {Name: "WWW-Authenticate", Value: "b"}, {Name: "WWW-Authenticate", Value: "a"}}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	back := http.Header{}
	field.Fill(back, append(fields, wire.Field{Name: "content-type", Value: "x"}))
	if diff := cmp.Diff(http.Header{"WWW-Authenticate": {"b", "a"}, "ETag": {"e"}, "Accept": {""}, "Content-Type": {"x"}}, back); diff != "" {
		t.Error(diff)
	}
}
