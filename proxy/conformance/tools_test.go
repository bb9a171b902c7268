package conformance_test

import (
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
