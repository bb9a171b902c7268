package conformance_test

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var h2spec = flag.String("h2spec", "", "the program h2spec; without it the tests of tools are skipped")

// startForTools runs our program with a website that is served under the address, by which the tools ask for it.
func startForTools(t *testing.T) *program {
	t.Helper()
	if *h2spec == "" {
		t.Skip("make conformance runs it")
	}
	k := kind{name: "persona", command: func(t testing.TB, p *program, folder string) []string {
		write(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf("state_dir: state\n"+withTLS+
			"domains:\n  - {name: tools.conformance.test, hosts: [127.0.0.1], upstream: \"http://%s\"}\n", p.secure, p.plain, p.stray.address))
		return []string{binary(t), "serve", "-config", filepath.Join(folder, "persona.yaml")}
	}}
	return k.start(t, nil)
}

// TestH2spec runs the conformance suite of HTTP/2. Cases that fail stand in testdata/h2spec.txt with the reason.
func TestH2spec(t *testing.T) {
	p := startForTools(t)
	t.Parallel()
	known := map[string]bool{}
	text, err := os.ReadFile(filepath.Join("testdata", "h2spec.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line != "" && line[0] != '#' {
			known[line] = true
		}
	}
	host, port, _ := net.SplitHostPort(p.secure)
	report := filepath.Join(t.TempDir(), "report.xml")
	out, err := exec.Command(*h2spec, "-t", "-k", "-h", host, "-p", port, "-o", "5", "-j", report).CombinedOutput()
	var result struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	xmlText, readErr := os.ReadFile(report)
	if readErr == nil {
		readErr = xml.Unmarshal(xmlText, &result)
	}
	if readErr != nil {
		t.Fatalf("h2spec: %v: %v\n%s", err, readErr, out)
	}
	cases := 0
	for _, suite := range result.Suites {
		for _, one := range suite.Cases {
			cases++
			name := one.Package + " " + one.Name
			failed := one.Failure != nil || one.Error != nil
			switch {
			case failed && !known[name]:
				t.Errorf("h2spec: %s failed", name)
			case !failed && known[name]:
				t.Errorf("h2spec: %s passes: remove it from testdata/h2spec.txt", name)
			}
		}
	}
	if cases < 145 {
		t.Errorf("h2spec ran %d cases of 145", cases)
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// require skips a test whose tool is not installed, or fails it where CI=true.
func require(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s is installed (make deps)", tool)
		}
		t.Skipf("no %s is installed", tool)
	}
}

// TestSSLScan demands that sslscan finds offered what is meant to be, and nothing else.
func TestSSLScan(t *testing.T) {
	require(t, "sslscan")
	p := startForTools(t)
	t.Parallel()
	report := filepath.Join(t.TempDir(), "sslscan.xml")
	out, err := exec.Command("sslscan", "--no-colour", "--xml="+report, "--sni-name=tools.conformance.test", p.secure).CombinedOutput()
	if err != nil {
		t.Fatalf("sslscan: %v\n%s", err, out)
	}
	var scan struct {
		Protocols []struct {
			Type    string `xml:"type,attr"`
			Version string `xml:"version,attr"`
			Enabled int    `xml:"enabled,attr"`
		} `xml:"ssltest>protocol"`
		Ciphers []struct {
			Cipher string `xml:"cipher,attr"`
			Bits   int    `xml:"bits,attr"`
		} `xml:"ssltest>cipher"`
		Heartbleed []struct {
			Vulnerable int `xml:"vulnerable,attr"`
		} `xml:"ssltest>heartbleed"`
		Compression []struct {
			Supported int `xml:"supported,attr"`
		} `xml:"ssltest>compression"`
	}
	text, err := os.ReadFile(report)
	if err == nil {
		err = xml.Unmarshal(text, &scan)
	}
	if err != nil {
		t.Fatalf("sslscan: %v\n%s", err, out)
	}
	modern := 0
	for _, one := range scan.Protocols {
		name := one.Type + one.Version
		if wanted := name == "tls1.2" || name == "tls1.3"; wanted != (one.Enabled == 1) {
			t.Errorf("sslscan: %s enabled: %d", name, one.Enabled)
		} else if wanted {
			modern++
		}
	}
	if modern != 2 || len(scan.Ciphers) == 0 {
		t.Errorf("sslscan saw %d protocols and %d ciphers\n%s", modern, len(scan.Ciphers), text)
	}
	for _, one := range scan.Ciphers {
		if one.Bits < 128 || !strings.Contains(one.Cipher, "GCM") && !strings.Contains(one.Cipher, "POLY1305") {
			t.Errorf("sslscan: the cipher %s of %d bits is offered", one.Cipher, one.Bits)
		}
	}
	for _, one := range scan.Heartbleed {
		if one.Vulnerable != 0 {
			t.Error("sslscan: Heartbleed")
		}
	}
	for _, one := range scan.Compression {
		if one.Supported != 0 {
			t.Error("sslscan: TLS compression")
		}
	}
}

// TestTestSSL demands that testssl.sh finds nothing to object to.
func TestTestSSL(t *testing.T) {
	require(t, "testssl")
	p := startForTools(t)
	t.Parallel()
	report := filepath.Join(t.TempDir(), "testssl.json")
	// Protocols, kinds of ciphers, forward secrecy, preferences and vulnerabilities; the certificate is a throw-away one.
	out, err := exec.Command("testssl", "--quiet", "--color", "0", "--ip", "one", "--jsonfile", report, "-p", "-s", "-f", "-P", "-U", p.secure).CombinedOutput()
	var findings []struct{ ID, Severity, Finding string }
	text, readErr := os.ReadFile(report)
	if readErr == nil {
		readErr = json.Unmarshal(text, &findings)
	}
	if readErr != nil || len(findings) < 30 {
		t.Fatalf("testssl.sh: %v, %v, %d findings\n%s", err, readErr, len(findings), out)
	}
	for _, one := range findings {
		ofScanner := one.ID == "engine_problem" // the scanner lacks GOST
		if one.Severity != "OK" && one.Severity != "INFO" && !ofScanner {
			t.Errorf("testssl.sh: %s, %s: %s", one.ID, one.Severity, one.Finding)
		}
	}
}
