package app_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/proxy/certs/acmetest"
)

// names is a DNS in which every name leads to loopback, and CAA records are as given.
type names struct{ caa []network.CAA }

func (names) Addresses(_ context.Context, host string) ([]netip.Addr, error) {
	if !strings.HasSuffix(host, ".test") && !strings.HasSuffix(host, ".net") {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
}

func (n names) CAA(context.Context, string) ([]network.CAA, string, error) { return n.caa, "test", nil }

// checker looks at a running program from outside; ports 80 and 443 lead to its listeners.
func (p *program) checker(t *testing.T, folder string, roots *x509.CertPool) *check.Checker {
	t.Helper()
	loaded, err := config.Load(filepath.Join(folder, "persona.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	world := check.SystemEnv(translate.Directory)
	world.Resolver = names{}
	world.Roots = roots
	world.Interfaces = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil }
	dial := world.Dial
	world.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		switch address {
		case "192.0.2.7:443":
			address = p.Addr("https").String()
		case "192.0.2.7:80":
			address = p.Addr("http").String()
		default:
			if strings.HasPrefix(address, "192.0.2.7:") {
				return nil, syscall.ECONNREFUSED
			}
		}
		return dial(ctx, network, address)
	}
	return check.New(world, check.Options{Config: loaded, Source: "persona.yaml"})
}

// findings takes the steps and returns what was found as a person reads it.
func findings(t *testing.T, groups []report.Group) (report.Summary, string) {
	t.Helper()
	var out bytes.Buffer
	summary, err := report.Run(t.Context(), groups, report.Text(&out, false))
	if err != nil {
		t.Fatal(err)
	}
	return summary, out.String()
}

// TestCheckOfAllThatRuns: nothing is wrong with the whole program on real parts, and check says so.
func TestCheckOfAllThatRuns(t *testing.T) {
	folder := t.TempDir()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	pebble := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort})
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), pebble)
	p := start(t, folder, fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls:
  acme: {directory: %s, ca_file: acme-ca.pem}
domains:
  - {name: checked.test, upstream: %s, hosts: [www.checked.test], directory: corp, authority: id.checked.test, identity_headers: true,
     access: [{path: /open, allow: public}, {path: /staff/, groups: [editors]}, {path: /git, allow: authorization_header}, {path: /a, exact: true, allow: signed_in}]}
  - {name: example.test, authority: id.checked.test}
  - {name: old.checked.test, disabled: true}
`, httpsPort, httpPort, pebble.Directory(), website(t).URL)+directoryYAML(t, folder, slapd))
	apptest.Eventually(t, "all names have certificates and keys", func() bool {
		_, body := p.admin(t, "/readyz")
		return strings.Count(body, `"certificate `) == 5 && strings.Contains(body, `"degraded": []`)
	})
	summary, text := findings(t, p.checker(t, folder, pebble.IssuerRoots()).Everything())
	if summary.Failed > 0 || summary.Warnings > 0 {
		t.Errorf("something is said to be wrong:\n%s", text)
	}
	for _, want := range []string{
		"✓ sample addresses        alice@example.test", "✓ published key           it is the one that signs",
		"✓ authority               checked.test → id.checked.test", "✓ plain HTTP              308 to https://old.checked.test",
		"✓ provisioning page       https://id.checked.test/persona/provision", "✓ state directory ", "✓ ACME directory ",
		"✓ way to sign in          /persona/login → https://id.checked.test/persona/handover → https://id.checked.test/persona/authenticate",
		"✓ access rules            strangers are led to sign in, or refused, at 3 closed paths", "✓ way past                none was found",
		"✓ assertion keys          1 key at https://id.checked.test/persona/assertion/jwks.json",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line says %q:\n%s", want, text)
		}
	}
}

// certified is a small company with certificates from files, for checks of one person's way.
type certified struct {
	*program
	folder string
	roots  *x509.CertPool
	slapd  *ldaptest.Server
}

func startCertified(t *testing.T) certified {
	t.Helper()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "example.net")
	p := start(t, folder, yaml+fmt.Sprintf("domains:\n  - {name: example.test, upstream: %s, directory: corp}\n  - {name: example.net, authority: example.test}\n  - {name: away.test, authority: elsewhere.test}\n  - {name: old.test, disabled: true}\n  - {name: www.test, upstream: %s}\n", website(t).URL, website(t).URL)+
		directoryYAML(t, folder, slapd))
	waitForKeys(t, p)
	return certified{p, folder, roots, slapd}
}

// checkPerson checks the sign-in of a person with a password.
func (c certified) checkPerson(t *testing.T, address, login, password string) (report.Summary, string) {
	t.Helper()
	target, err := check.ParseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	return findings(t, c.checker(t, c.folder, c.roots).Address(check.SignIn{
		Address: target.Address, Login: login,
		Password: func(context.Context) (string, error) { return password, nil },
	}))
}

// TestCheckOfAPerson takes the whole way of a person through the front door, and each way it may end.
func TestCheckOfAPerson(t *testing.T) {
	t.Parallel()
	c := startCertified(t)
	for name, test := range map[string]struct {
		address, login, password string
		failed                   int
		want                     []string
	}{
		"by address": {"alice@example.test", "", ldaptest.Password, 0, []string{
			"✓ authority               example.test signs", "✓ sign-in                 as alice@example.test",
			"✓ session cookie          __Host-persona: Secure, HttpOnly, SameSite=Lax", "✓ addresses ",
			`"email": "alice@example.test"`, `"iss": "example.test"`, "✓ verification            signed by the published key",
			"✓ assertion               alice@example.test is proven to https://relying-party.example", `"aud": "https://relying-party.example"`, "✓ sign-out ",
		}},
		"in a domain that delegates": {"alice@example.net", "alice", ldaptest.Password, 0, []string{
			"led there by example.net → example.test", `"email": "alice@example.net"`,
		}},
		"wrong password": {"bob.brown@example.test", "", "wrong", 1, []string{
			"✗ sign-in                 403: The user name or the password is wrong.", "is it the right password", "– certificate",
		}},
		"another person's address": {"victor@example.test", "bob", ldaptest.Password, 2, []string{
			"✗ addresses               victor@example.test is not among the addresses of Bob", "✗ certificate             403 not_your_address", "✓ sign-out ",
		}},
		"must change the password": {"carol@example.test", "", ldaptest.Password, 1, []string{"✗ sign-in                 403: Your password must be changed first"}},
		"no password":              {"alice@example.test", "", "", 1, []string{"✗ password                it is empty", "– sign-in "}},
		"signed for elsewhere":     {"a@away.test", "", "secret", 1, []string{"✗ authority               away.test delegates to elsewhere.test, and that is not", "types no password anywhere but"}},
		"disabled":                 {"a@old.test", "", "secret", 1, []string{"✗ authority               old.test is disabled by the configuration"}},
		"a website only":           {"a@www.test", "", "secret", 1, []string{"✗ authority               www.test is only a website"}},
		"foreign":                  {"a@foreign.test.example", "", "secret", 1, []string{"✗ authority               foreign.test.example is not in the configuration, and it is no identity provider: DNS knows no address"}},
	} {
		t.Run(name, func(t *testing.T) {
			summary, text := c.checkPerson(t, test.address, test.login, test.password)
			if summary.Failed != test.failed || summary.Warnings > 0 {
				t.Errorf("%d steps failed, %d should", summary.Failed, test.failed)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("no line says %q", want)
				}
			}
			if t.Failed() {
				t.Log(text)
			}
			if strings.Contains(text, ldaptest.Password) {
				t.Error("the password is shown")
			}
		})
	}
	if n := strings.Count(c.log.String(), `"message":"signed in"`); n != 3 {
		t.Errorf("%d sign-ins are logged, want 3", n)
	}

	for range 4 { // as many as the throttle lets fail
		c.checkPerson(t, "victor@example.test", "", "wrong")
	}
	if _, text := c.checkPerson(t, "victor@example.test", "", "wrong"); !strings.Contains(text, "✗ sign-in                 429: Too many failed attempts") || !strings.Contains(text, "→ wait ") {
		t.Errorf("a throttled sign-in is not reported:\n%s", text)
	}
	c.slapd.Stop()
	if _, text := c.checkPerson(t, "bob.brown@example.test", "", ldaptest.Password); !strings.Contains(text, "✗ sign-in                 503: ") {
		t.Errorf("a directory that is down is not reported:\n%s", text)
	}
	if !strings.Contains(c.log.String(), `"hint":"is the directory running, and is the port in urls right?"`) {
		t.Errorf("the log has no hint for the directory that is down:\n%s", c.log.String())
	}
}

// TestCheckOfAnotherKey: a program with another state directory behind the name is found before
// a password is typed.
func TestCheckOfAnotherKey(t *testing.T) {
	t.Parallel()
	c := startCertified(t)
	other := startCertified(t)
	other.program = c.program // what answers is the first; what lies here is the second's
	other.roots = c.roots
	summary, text := other.checkPerson(t, "alice@example.test", "", "secret")
	if summary.Failed != 1 || !strings.Contains(text, "✗ authority               example.test publishes a key that is not in the state directory") || !strings.Contains(text, "– password ") {
		t.Errorf("got:\n%s", text)
	}
}
