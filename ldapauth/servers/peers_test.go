package servers_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"
)

// TestPeers looks at every address of every name, well or not.
func TestPeers(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	relay := ldaptest.StartRelay(t, "127.0.0.2:0", hostOf(s.LDAPSURL()))
	dc := "ldaps://dc.example.test:" + portOf(relay.Address())
	plain := s.URL()
	cfg := config(s, dc, plain, "ldaps://none.example.test")
	cfg.Resolver = &names{addresses: map[string][]string{"dc.example.test": {"127.0.0.3", "127.0.0.2"}}}
	peers := open(t, cfg).Peers(context.Background(), s.BaseDN)
	if len(peers) != 4 {
		t.Fatalf("%+v", peers)
	}
	if p := peers[0]; p.Server != dc+" (127.0.0.3:"+portOf(dc)+")" || p.Failed != servers.StepConnect || !strings.Contains(hintOf(p.Err), "is the directory running") {
		t.Errorf("%+v", p)
	}
	if p := peers[1]; p.Address != relay.Address() || p.Err != nil || p.Connected <= 0 || p.Bound <= 0 || p.Read <= 0 ||
		p.TLS == nil || len(p.Certificates) == 0 || p.Certificates[0].DNSNames[0] != "localhost" {
		t.Errorf("%+v", p)
	}
	if p := peers[2]; p.Server != plain || p.TLS != nil || p.Err != nil {
		t.Errorf("%+v", p)
	}
	if p := peers[3]; p.Server != "ldaps://none.example.test" || p.Failed != servers.StepLookup || !strings.Contains(hintOf(p.Err), "correct the host name") {
		t.Errorf("%+v", p)
	}

	cfg = config(s, s.LDAPSURL())
	cfg.Roots = x509.NewCertPool()
	untrusted := open(t, cfg).Peers(context.Background(), s.BaseDN)[0]
	if untrusted.Failed != servers.StepConnect || len(untrusted.Certificates) == 0 {
		t.Errorf("%+v", untrusted)
	}
	cfg = config(s, s.LDAPSURL())
	cfg.BindPassword = "wrong"
	if p := open(t, cfg).Peers(context.Background(), s.BaseDN)[0]; p.Failed != servers.StepBind || p.TLS == nil {
		t.Errorf("%+v", p)
	}
	if p := open(t, config(s, s.LDAPSURL())).Peers(context.Background(), "dc=elsewhere")[0]; p.Failed != servers.StepRead || !strings.Contains(hintOf(p.Err), "base_dn") {
		t.Errorf("%+v", p)
	}
}
