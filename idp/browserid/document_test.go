package browserid_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/browserid"
)

// support is a document with the members given, the paths included.
func support(members string) string {
	return `{` + members + `,"authentication":"/persona/authenticate","provisioning":"/persona/provision"}`
}

func keyJSON(t testing.TB, key *browserid.PublicKey) string {
	t.Helper()
	text, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseDocument(t *testing.T) {
	t.Parallel()
	one, two := publicKey(t, domainSigner()), publicKey(t, otherSigner())
	a, b := keyJSON(t, one), keyJSON(t, two)
	aJWK := `{"kty":"RSA","n":"` + encode(one.RSA().N.Bytes()) + `","e":"AQAB","kid":"1","use":"sig"}`
	enc := `{"kty":"EC","use":"enc"}`
	want := func(keys ...*browserid.PublicKey) browserid.Support {
		return browserid.Support{PublicKey: one, Keys: keys, Authentication: "/persona/authenticate", Provisioning: "/persona/provision"}
	}
	tests := []struct {
		name, in string
		want     browserid.Document
	}{
		{"support", support(`"public-key":` + a), want()},
		{"JWK", support(`"public-key":` + aJWK), want()},
		{"unknown members", support(`"x":{"y":[1]},"Disabled":true,"AUTHORITY":"x","public-key":` + a), want()},
		{"disabled false", support(`"disabled":false,"public-key":` + a), want()},
		{"rotation", support(`"public-key":` + a + `,"keys":[` + a + `,` + b + `]`), want(one, two)},
		{"public key not among the keys", support(`"public-key":` + a + `,"keys":[` + b + `]`), want(one, two)},
		{"public key last among the keys", support(`"public-key":` + a + `,"keys":[` + b + `,` + a + `]`), want(one, two)},
		{"keys alone", support(`"keys":[` + a + `,` + b + `]`), want(one, two)},
		{"keys twice, in both forms", support(`"keys":[` + a + `,` + aJWK + `]`), want(one)},
		{"no keys but the public one", support(`"keys":[],"public-key":` + a), want()},
		{"key for encryption", support(`"keys":[` + enc + `,` + aJWK + ` ]`), want(one)},
		{"delegation", `{"authority":"id.example.com"}`, browserid.Delegation{Authority: "id.example.com"}},
		{"delegation to a port", `{"authority":"id.example.com:8443"}`, browserid.Delegation{Authority: "id.example.com:8443"}},
		{"authority before keys", support(`"authority":"id.example.com","public-key":` + a), browserid.Delegation{Authority: "id.example.com"}},
		{"authority before bad keys", `{"authority":"id.example.com","public-key":5}`, browserid.Delegation{Authority: "id.example.com"}},
		{"disabled", `{"disabled":true}`, browserid.Disabled{}},
		{"disabled before authority", `{"authority":"id.example.com","disabled":true}`, browserid.Disabled{}},
		{"disabled before keys", support(`"disabled":true,"public-key":` + a), browserid.Disabled{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			doc, err := browserid.ParseDocument([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, doc); diff != "" {
				t.Error(diff)
			}
			text, err := browserid.MarshalDocument(doc)
			if err != nil {
				t.Fatal(err)
			}
			again, err := browserid.ParseDocument(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(doc, again); diff != "" {
				t.Errorf("after writing and reading: %s", diff)
			}
		})
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	t.Parallel()
	key := keyJSON(t, publicKey(t, domainSigner()))
	var many []string
	for i := range 17 {
		n := number(2048)
		n.SetBit(n, 100+i, 1)
		many = append(many, classic(n.String(), "3"))
	}
	tests := []struct{ name, in, want string }{
		{"nothing", "", "malformed JSON"},
		{"the website's 404 page", "<!doctype html><title>404</title>", "malformed JSON"},
		{"list", "[]", "not an object"},
		{"empty", "{}", `"public-key" is missing`},
		{"two documents", `{"disabled":true}{"disabled":false}`, "malformed JSON"},
		{"repeated member", `{"authority":"a.example","authority":"b.example"}`, `"authority" is there twice`},
		{"repeated disabled", `{"disabled":false,"disabled":true}`, `"disabled" is there twice`},
		{"huge", `{"disabled":true,"x":"` + strings.Repeat("x", 64<<10) + `"}`, "longer than 65536"},
		{"deep", `{"disabled":true,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, "nested deeper"},
		{"disabled text", `{"disabled":"true"}`, "disabled must be either true or false"},
		{"disabled 1", `{"disabled":1}`, "disabled must be either true or false"},
		{"disabled null", `{"disabled":null}`, "disabled must be either true or false"},
		{"authority list", `{"authority":["a.example"]}`, "malformed authority"},
		{"authority null", `{"authority":null}`, "malformed authority"},
		{"authority empty", `{"authority":""}`, "no host name"},
		{"authority URL", `{"authority":"https://a.example"}`, "not a port"},
		{"authority with a path", `{"authority":"a.example/x"}`, "not host or host:port"},
		{"authority in upper case", `{"authority":"A.example"}`, "lower case"},
		{"authority address", `{"authority":"127.0.0.1"}`, "IP address"},
		{"key a string", support(`"public-key":"x"`), `"public-key" is not an object`},
		{"key null", support(`"public-key":null`), `"public-key" is not an object`},
		{"elliptic curve key", support(`"public-key":{"kty":"EC"}`), "not supported"},
		{"DSA key", support(`"public-key":` + testdata(t, "mockmyid.com.key")), "not supported"},
		{"key of 4096 bit", support(`"public-key":` + classic(number(4096).String(), "3")), "bad key size: 4096"},
		{"private key", support(`"public-key":` + strings.Replace(key, "{", `{"d":"5",`, 1)), "private key"},
		{"keys an object", support(`"keys":{}`), `"keys" is not an array`},
		{"keys empty", support(`"keys":[]`), `"public-key" is missing`},
		{"no key for signing", support(`"keys":[{"use":"enc"}]`), `"public-key" is missing`},
		{"one bad key", support(`"keys":[` + key + `,{"kty":"EC"}]`), `entry 2: a key of kind "EC" is not supported`},
		{"one bad key beside the public key", support(`"public-key":` + key + `,"keys":[{"kty":"EC"}]`), "entry 1"},
		{"key in keys a string", support(`"keys":["x"]`), "entry 1: JSON is not an object"},
		{"17 keys", support(`"keys":[` + strings.Join(many, ",") + `]`), "more than 16"},
		{"16 keys and another", support(`"public-key":` + key + `,"keys":[` + strings.Join(many[:16], ",") + `]`), "more than 16"},
		{"no authentication", `{"public-key":` + key + `,"provisioning":"/p"}`, `"authentication" is missing`},
		{"no provisioning", `{"public-key":` + key + `,"authentication":"/a"}`, `"provisioning" is missing`},
		{"provisioning a number", `{"public-key":` + key + `,"authentication":"/a","provisioning":5}`, `"provisioning" is not a string`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			doc, err := browserid.ParseDocument([]byte(test.in))
			wantError(t, err, "support document")
			wantError(t, err, test.want)
			if doc != nil {
				t.Error("a document came with the error")
			}
		})
	}
}

func TestDocumentPaths(t *testing.T) {
	t.Parallel()
	key := publicKey(t, domainSigner())
	const fine = ""
	tests := []struct{ name, path, want string }{
		{"root", "/", fine},
		{"page", "/persona/sign-in.html", fine},
		{"marks", "/a/~b/c;d=e:f@g!$&()*+,", fine},
		{"dots in a name", "/..a/...", fine},
		{"empty", "", "start with a slash"},
		{"relative", "persona/x", "start with a slash"},
		{"URL", "https://evil.example/x", "start with a slash"},
		{"other host", "//evil.example/x", "one slash only"},
		{"query", "/x?y=1", `character "?"`},
		{"fragment", "/x#y", `character "#"`},
		{"escape", "/x%20y", `character "%"`},
		{"space", "/x y", `character " "`},
		{"quote", `/x\"y`, "character"},
		{"apostrophe", "/x'y", `character "'"`},
		{"backslash", `/\\evil.example`, "character"},
		{"newline", `/x\n`, `character "\n"`},
		{"not ASCII", "/é", "character"},
		{"dot", "/a/./b", `segment "."`},
		{"dots", "/a/../b", `segment ".."`},
		{"dots at the end", "/a/..", `segment ".."`},
		{"long", "/" + strings.Repeat("x", 2048), "longer than 2048"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, form := range []string{
				`{"public-key":%s,"authentication":"%s","provisioning":"/p"}`,
				`{"public-key":%s,"authentication":"/a","provisioning":"%s"}`,
			} {
				_, err := browserid.ParseDocument(fmt.Appendf(nil, form, keyJSON(t, key), test.path))
				if test.want == fine {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				wantError(t, err, "invalid path")
				wantError(t, err, test.want)
			}
		})
	}
}

func TestMarshalDocument(t *testing.T) {
	t.Parallel()
	one, two := publicKey(t, domainSigner()), publicKey(t, otherSigner())
	a, b := keyJSON(t, one), keyJSON(t, two)
	doc := browserid.Support{PublicKey: one, Authentication: "/a&b", Provisioning: "/p"}
	rotating := doc
	rotating.Keys = []*browserid.PublicKey{two}
	tests := []struct {
		name string
		doc  browserid.Document
		want string
	}{
		{"support", doc, `{"public-key":` + a + `,"authentication":"/a&b","provisioning":"/p"}`},
		{"rotation", rotating, `{"public-key":` + a + `,"keys":[` + a + `,` + b + `],"authentication":"/a&b","provisioning":"/p"}`},
		{"delegation", browserid.Delegation{Authority: "id.example.com:8443"}, `{"authority":"id.example.com:8443"}`},
		{"disabled", browserid.Disabled{}, `{"disabled":true}`},
	}
	for _, test := range tests {
		text, err := browserid.MarshalDocument(test.doc)
		if err != nil || string(text) != test.want {
			t.Errorf("%s became %s, %v; want %s", test.name, text, err, test.want)
		}
	}
}

func TestMarshalDocumentRefuses(t *testing.T) {
	t.Parallel()
	key := publicKey(t, domainSigner())
	tests := []struct {
		name string
		doc  browserid.Document
		want string
	}{
		{"nil", nil, "is none"},
		{"no key", browserid.Support{Authentication: "/a", Provisioning: "/p"}, `"public-key" is missing`},
		{"nil among the keys", browserid.Support{PublicKey: key, Keys: []*browserid.PublicKey{nil}, Authentication: "/a", Provisioning: "/p"}, "missing"},
		{"no paths", browserid.Support{PublicKey: key}, "invalid path"},
		{"path with a quote", browserid.Support{PublicKey: key, Authentication: `/a","x":"`, Provisioning: "/p"}, "invalid path"},
		{"no authority", browserid.Delegation{}, "no host name"},
		{"authority with a quote", browserid.Delegation{Authority: `x","y":"`}, "character"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := browserid.MarshalDocument(test.doc)
			wantError(t, err, test.want)
			if text != nil {
				t.Errorf("%s came with the error", text)
			}
		})
	}
}

func TestParseDocumentErrorsCanBeAsked(t *testing.T) {
	t.Parallel()
	_, err := browserid.ParseDocument([]byte(support(`"public-key":` + testdata(t, "mockmyid.com.key"))))
	if !errors.Is(err, browserid.ErrNotSupported) {
		t.Errorf("%v is no ErrNotSupported", err)
	}
}
