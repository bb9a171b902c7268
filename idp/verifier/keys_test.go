package verifier_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/verifier"
)

// Which RSA keys of browsers are accepted, with and without legacy keys. Sizes
// that are no size of the protocol have no name of an algorithm, either.
func TestVerifyKeySizes(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	strict := n.verifier()
	legacy := n.verifier(func(c *verifier.Config) { c.LegacyClientKeys = true })
	for _, test := range []struct {
		bits           int
		strict, legacy bool
	}{
		{1022, false, false},
		{1023, false, true},
		{1024, false, true},
		{1025, false, false},
		{2046, false, false},
		{2047, true, true},
		{2048, true, true},
		{2049, false, false},
	} {
		t.Run(strconv.Itoa(test.bits), func(t *testing.T) {
			t.Parallel()
			key := idptest.NewRSAKey(test.bits)
			p := alice()
			p.replace = []string{keyJSON(t, clientKey()), `{"algorithm":"RS","n":"` + key.N.String() + `","e":"65537"}`}
			header := `{"alg":"RS256"}`
			if test.bits < 2000 {
				header = `{"alg":"RS128"}`
			}
			payload := `{"exp":` + strconv.FormatInt(n.clock.Now().UnixMilli()+120_000, 10) + `,"aud":"` + site + `"}`
			bundle := n.certificate(p) + "~" + sign(t, key, header, payload)
			for _, check := range []struct {
				verifier *verifier.Verifier
				want     bool
			}{{strict, test.strict}, {legacy, test.legacy}} {
				_, err := check.verifier.Verify(t.Context(), bundle, site)
				if (err == nil) != check.want || err != nil && !strings.Contains(err.Error(), "bad key size: "+strconv.Itoa(test.bits)) {
					t.Errorf("%v", err)
				}
				var hinted interface{ Hint() string }
				if errors.As(err, &hinted) != (!check.want && test.legacy) {
					t.Errorf("%v has the wrong hint", err)
				}
			}
		})
	}
}

func TestVerifyLegacyKeys(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	p := alice()
	p.key = shortKey()
	legacy := n.verifier(func(c *verifier.Config) { c.LegacyClientKeys = true })
	if _, err := legacy.Verify(t.Context(), n.bundle(p), site); err != nil {
		t.Error(err)
	}
	p = alice()
	p.replace = []string{keyJSON(t, clientKey()), mockmyid}
	certificate := n.certificate(p)
	for name, test := range map[string]struct {
		header    string
		signature []byte
		want      string
	}{
		"forged, r=1 s=q": {"DS128", append(append(make([]byte, 19), 1), 0xe2, 0x1e, 0x04, 0xf9, 0x11, 0xd1, 0xed, 0x79, 0x91, 0x00, 0x8e, 0xca, 0xab, 0x3b, 0xf7, 0x75, 0x98, 0x43, 0x09, 0xc3), "invalid signature"},
		"zeros":           {"DS128", make([]byte, 40), "invalid signature"},
		"too long":        {"DS128", make([]byte, 64), "malformed signature"},
		"DS160":           {"DS160", make([]byte, 40), "algorithms do not match"},
		"RS256":           {"RS256", make([]byte, 40), "algorithms do not match"},
	} {
		payload := `{"exp":` + strconv.FormatInt(n.clock.Now().UnixMilli()+120_000, 10) + `,"aud":"` + site + `"}`
		assertion := encode([]byte(`{"alg":"`+test.header+`"}`)) + "." + encode([]byte(payload)) + "." + encode(test.signature)
		if _, err := legacy.Verify(t.Context(), certificate+"~"+assertion, site); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}
