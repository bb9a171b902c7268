package hub_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/hub"

	"github.com/google/go-cmp/cmp"
)

func TestRelyingParties(t *testing.T) {
	t.Parallel()
	company := hub.DefaultRelyingParties([]string{"example.com", "example.net", "example.com"}, "https://example.com:8443")
	tests := []struct {
		name     string
		patterns []string
		allowed  []string
		refused  []string
	}{
		{
			"the company's own sites", company,
			[]string{"https://example.com", "https://app.example.com", "https://a.b.example.net", "https://example.com:8443"},
			[]string{
				"http://example.com", "https://example.com:444", "https://app.example.com:8443", "https://notexample.com",
				"https://example.com.evil.test", "https://evil.test", "null", "", "https://", "https://.example.com",
				"https://EXAMPLE.com", "https://example.com/", "https://example.com:443", "https://user@example.com",
				"https://evil.test/.example.com", "https://evil.test#.example.com", "https://evil.test?.example.com",
			},
		},
		{
			"a list",
			[]string{"https://app.partner.test", "https://*.apps.test", "https://*.ports.test:8443", "http://localhost:3000"},
			[]string{"https://app.partner.test", "https://a.apps.test", "https://a.ports.test:8443", "http://localhost:3000"},
			[]string{"https://apps.test", "http://a.apps.test", "https://a.ports.test", "https://partner.test", "http://localhost", "https://example.com"},
		},
		{"any site", []string{"*"}, []string{"https://anything.test", "http://x.test:81"}, []string{"null", "file://", "https://x.test/"}},
		{"no site", nil, nil, []string{"https://example.com", "null"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parties, err := hub.NewRelyingParties(test.patterns)
			if err != nil {
				t.Fatal(err)
			}
			for _, origin := range test.allowed {
				if !parties.Allow(origin) {
					t.Errorf("%s is refused", origin)
				}
			}
			for _, origin := range test.refused {
				if parties.Allow(origin) {
					t.Errorf("%s is allowed", origin)
				}
			}
		})
	}
}

func TestRelyingPartiesRefusesPatterns(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", "example.com", "https://example.com/", "https://Example.com", "https://example.com:443", "https://*", "https://*.", "https://*.*.test",
		"http://*.example.com", "https://a.*.test", "ftp://x.test", "https://*.example.com/x", "**", "https://x.test; script-src *",
	} {
		if parties, err := hub.NewRelyingParties([]string{pattern}); err == nil {
			t.Errorf("%q is taken for %v", pattern, parties)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	for want, patterns := range map[string][]string{
		"https: http:": {"*", "https://a.test"},
		"'none'":       nil,
		"https://a.test https://*.b.test https://*.c.test:8443": {"https://a.test", "https://*.b.test", "https://*.c.test:8443"},
	} {
		parties, err := hub.NewRelyingParties(patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(parties.Sources(), " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// others are the domains of others.
type others map[string]error

func (o others) Discover(_ context.Context, _ netip.Prefix, domain string) (hub.Authority, error) {
	if err := o[domain]; err != nil {
		return hub.Authority{}, err
	}
	if domain == "off.test" {
		return hub.Authority{Disabled: true}, nil
	}
	return hub.Authority{Issuer: "idp." + domain, Authentication: "https://idp." + domain + "/a", Provisioning: "https://idp." + domain + "/p"}, nil
}

func TestAddressInfo(t *testing.T) {
	t.Parallel()
	own := map[string]hub.Authority{
		"example.com": {Issuer: "id.example.com", Authentication: "https://id.example.com/a", Provisioning: "https://id.example.com/p"},
		"old.example": {Disabled: true},
	}
	world := others{
		"none.test":   &hub.NoAuthority{Reason: "none.test is not a browserid primary"},
		"down.test":   &hub.NoAuthority{Reason: "down.test does not answer", Offline: true, Cause: context.DeadlineExceeded},
		"broken.test": errors.New("secret detail"),
	}
	tests := []struct {
		address string
		want    hub.AddressInfo
		failed  bool
	}{
		{"Ann@Example.com", hub.AddressInfo{Type: "primary", Issuer: "id.example.com", Authentication: "https://id.example.com/a", Provisioning: "https://id.example.com/p", State: "unknown"}, false},
		{"ann@old.example", hub.AddressInfo{Type: "secondary", Disabled: true, State: "unknown", Reason: "old.example publishes that it has no identity provider"}, false},
		{"ann@far.test", hub.AddressInfo{Type: "primary", Issuer: "idp.far.test", Authentication: "https://idp.far.test/a", Provisioning: "https://idp.far.test/p", State: "unknown"}, false},
		{"ann@off.test", hub.AddressInfo{Type: "secondary", Disabled: true, State: "unknown", Reason: "off.test publishes that it has no identity provider"}, false},
		{"ann@none.test", hub.AddressInfo{Type: "secondary", State: "unknown", Reason: "none.test is not a browserid primary"}, true},
		{"ann@down.test", hub.AddressInfo{Type: "secondary", State: "offline", Reason: "down.test does not answer"}, true},
		{"ann@broken.test", hub.AddressInfo{Type: "secondary", State: "offline", Reason: "broken.test could not be asked"}, true},
	}
	for _, test := range tests {
		t.Run(test.address, func(t *testing.T) {
			t.Parallel()
			address, err := browserid.ParseAddress(test.address)
			if err != nil {
				t.Fatal(err)
			}
			got, err := hub.NewAuthorities(own, world).AddressInfo(t.Context(), netip.Prefix{}, address)
			test.want.NormalizedEmail = address.String()
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != test.failed {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
	address, _ := browserid.ParseAddress("ann@far.test")
	if got, err := hub.NewAuthorities(own, nil).AddressInfo(t.Context(), netip.Prefix{}, address); err == nil || got.Reason == "" || got.Type != "secondary" {
		t.Errorf("without discovery: %+v, %v", got, err)
	}
}
