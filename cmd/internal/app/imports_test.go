package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "persona-sidecar"

// listed is what `go list -json` says of one package, as far as the rules below need it.
type listed struct {
	ImportPath string
	Deps       []string
}

// TestImportDirection keeps the direction of imports that ARCHITECTURE.md draws, for what a package reaches through
// others: proxy, idp and ldapauth never reach one another. What a file may import itself is in .golangci.yaml.
func TestImportDirection(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, fault := range importFaults(p) {
			t.Error(fault)
		}
	}
}

// TestImportRulesRejectViolations proves that each rule refuses what it is there to refuse.
func TestImportRulesRejectViolations(t *testing.T) {
	t.Parallel()
	for _, p := range []listed{
		{ImportPath: "idp", Deps: []string{module + "/proxy"}},
		{ImportPath: "idp/session", Deps: []string{"github.com/caddyserver/certmagic"}},
		{ImportPath: "proxy/upstream", Deps: []string{module + "/idp/browserid"}},
		{ImportPath: "ldapauth", Deps: []string{module + "/idp"}},
		{ImportPath: "ldapauth", Deps: []string{module + "/idp/session"}},
		{ImportPath: "ldapauth", Deps: []string{module + "/proxy"}},
		{ImportPath: "idp/identity", Deps: []string{module + "/idp/session"}},
		{ImportPath: "idp/browserid", Deps: []string{"golang.org/x/net/idna"}},
		{ImportPath: "cmd/internal/config", Deps: []string{module + "/ldapauth"}},
		{ImportPath: "idp", Deps: []string{module + "/cmd/internal/config"}},
		{ImportPath: "cmd/internal/app", Deps: []string{"testing"}},
	} {
		p.ImportPath = module + "/" + p.ImportPath
		if len(importFaults(p)) == 0 {
			t.Errorf("%s may import %v, and should not", p.ImportPath, p.Deps)
		}
	}
}

func importFaults(p listed) (faults []string) {
	folder := strings.TrimPrefix(p.ImportPath, module+"/")
	refuse := func(forbidden func(string) bool, why string) {
		for _, path := range p.Deps {
			if forbidden(path) {
				faults = append(faults, folder+" imports "+path+": "+why)
			}
		}
	}
	inside := func(folders ...string) func(string) bool {
		return func(path string) bool {
			path, ours := strings.CutPrefix(path, module+"/")
			for _, r := range folders {
				if ours && (path == r || strings.HasPrefix(path, r+"/")) {
					return true
				}
			}
			return false
		}
	}
	notStandard := func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return strings.Contains(first, ".") || first == module
	}
	within := func(top string) bool { return folder == top || strings.HasPrefix(folder, top+"/") }

	switch {
	case within("idp/browserid"):
		refuse(func(path string) bool {
			return !inside("idp/browserid")(path) && !strings.HasPrefix(path, "vendor/") && notStandard(path) || path == "net/http"
		}, "the protocol is pure: standard library only, no net/http")
	case folder == "idp/identity":
		refuse(func(path string) bool {
			return inside("idp")(path) && !inside("idp/browserid")(path) || inside("proxy", "ldapauth", "cmd")(path)
		}, "facts stand on the protocol alone")
	case within("idp"):
		refuse(inside("proxy", "ldapauth", "cmd"), "proxy, idp and ldapauth never import one another, nor cmd")
		refuse(func(path string) bool { return strings.HasPrefix(path, "github.com/caddyserver/certmagic") }, "idp knows its store by shape alone")
	case within("proxy"):
		refuse(inside("idp", "ldapauth", "cmd"), "proxy, idp and ldapauth never import one another, nor cmd")
	case within("ldapauth"):
		refuse(inside("proxy", "cmd"), "proxy, idp and ldapauth never import one another, nor cmd")
		refuse(func(path string) bool { return inside("idp")(path) && !inside("idp/identity", "idp/browserid")(path) },
			"of idp, ldapauth knows the facts and the addresses alone")
	case within("cmd/internal/config"):
		refuse(inside("idp", "proxy", "ldapauth"), "config describes; app translates")
	case within("cmd/internal/app"):
		refuse(func(path string) bool { return path == "testing" }, "the binary carries no tests")
	}
	return faults
}

func packages(t *testing.T) (all []listed) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Deps", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list named %d packages only", len(all))
	}
	return all
}
