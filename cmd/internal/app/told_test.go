package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// TestWebsiteIsToldOfPeople: a real directory's people sign in, and a website on another host than sign-in reads who
// they are, from fields and from the assertion, as Grafana verifies it. The name is the directory's, whatever was
// typed, and one that is given again is another person.
func TestWebsiteIsToldOfPeople(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	person := slapd.AddPerson("anna", ldaptest.Password, "Anna@example.test")
	slapd.Replace(person, "displayName", "Änne Müller")
	for _, group := range []string{"Entwickler süd", "Staff, admins"} {
		request := ldap.NewAddRequest(slapd.GroupDN(group), nil)
		request.Attribute("objectClass", []string{"groupOfNames"})
		request.Attribute("cn", []string{group})
		request.Attribute("member", []string{person})
		slapd.Add(request)
	}

	told := make(chan http.Header, 1)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header }))
	defer site.Close()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "id.example.test")
	p := start(t, folder, yaml+fmt.Sprintf(`
domains:
  - {name: example.test, upstream: %s, directory: corp, authority: id.example.test, identity_headers: true}
`, site.URL)+directoryYAML(t, folder, slapd))
	waitForKeys(t, p)

	const id = "https://id.example.test"
	signIn := func(typed string) http.Header {
		t.Helper()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := p.client(roots)
		browser.Jar, browser.CheckRedirect = jar, nil
		form := url.Values{"username": {typed}, "password": {ldaptest.Password}, "computer": {"private"}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, id+"/persona/authenticate", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {id}, "Sec-Fetch-Site": {"same-origin"}}
		response, err := browser.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if status, body := get(t, browser, "https://example.test/persona/login?return=/wiki"); status != http.StatusOK {
			t.Fatalf("the way to the website ends with %d %s", status, body)
		}
		return <-told
	}
	verify := func(fields http.Header) (claims map[string]any) {
		t.Helper()
		_, published := get(t, p.client(roots), id+"/persona/assertion/jwks.json")
		var keys jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(published), &keys); err != nil {
			t.Fatal(err)
		}
		token, err := jwt.ParseSigned(fields.Get("X-Persona-Assertion"), []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		var registered jwt.Claims
		if err := token.Claims(keys.Key(token.Headers[0].KeyID)[0], &registered, &claims); err != nil {
			t.Fatal(err)
		}
		if err := registered.Validate(jwt.Expected{Issuer: id, AnyAudience: jwt.Audience{"https://example.test"}, Time: time.Now()}); err != nil {
			t.Error(err)
		}
		return claims
	}

	first := signIn("ANNA")
	uuid := slapd.Attribute(person, "entryUUID")[0]
	got := map[string]string{}
	for name := range first {
		if strings.HasPrefix(name, "Remote-") {
			got[name] = strings.Join(first[name], " and ")
		}
	}
	if diff := cmp.Diff(map[string]string{
		"Remote-User": "anna", "Remote-Email": "anna@example.test", "Remote-Name": "Änne Müller", "Remote-Groups": "Entwickler süd", "Remote-Id": uuid,
	}, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	claims := verify(first)
	if claims["sub"] != "corp:"+uuid || claims["preferred_username"] != "anna" || !cmp.Equal(claims["groups"], []any{"Entwickler süd", "Staff, admins"}) {
		t.Errorf("the assertion has %v", claims)
	}
	if logged := p.log.String(); !strings.Contains(logged, `"group":"Staff, admins"`) || strings.Contains(logged, first.Get("X-Persona-Assertion")) {
		t.Error("the log does not name the group that is left out, or holds the assertion")
	}

	slapd.Delete(person)
	slapd.AddPerson("anna", ldaptest.Password, "anna@example.test")
	second := signIn("anna")
	if second.Get("Remote-User") != "anna" || second.Get("Remote-Id") == uuid || verify(second)["sub"] == claims["sub"] {
		t.Errorf("who has the name now is told as %v", second)
	}
}

// TestReloadWhileDirectoryIsAway: who is signed in stays so at the website until five minutes after the directory's last
// answer, through reloads that leave the directory as it is. What one directory said counts for no other one.
func TestReloadWhileDirectoryIsAway(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "example.test")
	domain := fmt.Sprintf("\ndomains:\n  - {name: example.test, upstream: %s, directory: DIRECTORY, identity_headers: true}\n", mirror(t).URL)
	corp := directoryYAML(t, folder, slapd)
	yaml := func(domain, directories string) string { return tls + domain + directories }
	same := yaml(strings.Replace(domain, "DIRECTORY", "corp", 1), corp)
	clock := &wrongClock{}
	p := startAt(t, folder, same, clock.now)
	waitForKeys(t, p)
	visit := &visitors{t: t, roots: roots}
	cookie := visit.signIn(p, "alice")
	told := func() bool {
		t.Helper()
		response, err := p.client(roots).Do(visit.request(http.MethodGet, "/", cookie))
		if err != nil {
			t.Fatal(err)
		}
		body := read(t, response)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the website answers %d %s", response.StatusCode, body)
		}
		return strings.Contains(body, "Remote-User: alice\n") && strings.Contains(body, "Remote-Email: alice@example.test\n")
	}
	expect := func(when string, want bool) {
		t.Helper()
		if got := told(); got != want {
			t.Errorf("%s the website is told of a person: %t", when, got)
		}
	}
	expect("after the sign-in", true)
	slapd.Stop()
	clock.set(3 * time.Minute)
	p.mustReload(t, folder, same)
	expect("after a reload without the directory", true)
	p.mustReload(t, folder, strings.Replace(same, "identity_headers: true", "identity_headers: true, rewrite_redirects: false", 1))
	if err := p.reload(t, folder, "nonsense: true\n"); err == nil {
		t.Error("nonsense was accepted")
	}
	clock.set(5*time.Minute - 10*time.Second)
	expect("within five minutes", true)
	p.mustReload(t, folder, same)
	clock.set(5*time.Minute + time.Second)
	expect("after five minutes", false)

	slapd.Restart()
	clock.set(10 * time.Minute)
	expect("when the directory is back", true)
	for what, change := range map[string]string{
		"other settings":     strings.Replace(same, "    preset:", "    disabled_filter: (uid=none)\n    preset:", 1),
		"another name":       yaml(strings.Replace(domain, "DIRECTORY", "staff", 1), strings.Replace(corp, "corp:", "staff:", 1)),
		"other mail domains": strings.Replace(same, "directory: corp,", "directory: corp, certifies: [other.test],", 1),
		"no groups wanted":   strings.Replace(same, "identity_headers: true", `identity_headers: {names: {groups: "", assertion: ""}}`, 1),
	} {
		slapd.Stop()
		p.mustReload(t, folder, change)
		expect("with "+what+" of the directory, which is away,", false)
		slapd.Restart()
		p.mustReload(t, folder, same)
		expect("with the directory as before, which is back,", true)
	}
}

// TestLoginOfTwoPeople: where two people have one login, which only their addresses tell apart at the sign-in, a website
// that goes by the login is told of neither: it would take the one for the other.
func TestLoginOfTwoPeople(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	for _, unit := range []string{"staff", "partners"} {
		base := "ou=" + unit + "," + n.slapd.BaseDN
		add := ldap.NewAddRequest(base, nil)
		add.Attribute("objectClass", []string{"organizationalUnit"})
		n.slapd.Add(add)
		add = ldap.NewAddRequest("cn=erika "+unit+","+base, nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("sn", []string{"erika"})
		add.Attribute("uid", []string{"erika"})
		add.Attribute("mail", []string{"erika@" + unit + ".example.test", unit + "@example.test"})
		add.Attribute("userPassword", []string{ldaptest.Password})
		n.slapd.Add(add)
		n.slapd.KeepPassword(add.DN)
	}
	s := n.surfer(t)
	if p := s.signIn("https://example.test/intern/", "partners@example.test"); p.status != http.StatusOK || strings.Contains(p.body, "Remote-") || strings.Contains(p.body, "Assertion") {
		t.Errorf("%s: %d %s", p.at, p.status, p.body)
	}
	if p := s.open("https://jenkins.test/persona/login"); p.told("X-Forwarded-User") != "partners@example.test" {
		t.Errorf("a website that goes by the address: %d %s", p.status, p.body)
	}
	if log := n.log.String(); strings.Count(log, "login withheld") != 1 {
		t.Error("the log does not tell of it, or again and again")
	}
	n.slapd.Replace("cn=erika staff,ou=staff,"+n.slapd.BaseDN, "uid", "erika2")
	n.clock.by.Add(int64(5 * time.Minute))
	if got := s.told("https://example.test/", "Remote-User"); got != "erika" {
		t.Errorf("once the other is renamed the website is told of %q", got)
	}
}
