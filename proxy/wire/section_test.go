package wire_test

import (
	"bufio"
	"errors"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/proxy/wire"
)

func TestParseFields(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want wire.Fields
		bare bool
	}{
		"none":               {"\r\n", nil, false},
		"order and spelling": {"b: 1\r\nA: 2\r\nsec-WebSocket-Key: x\r\nb: 3\r\n\r\n", wire.Fields{{"b", "1"}, {"A", "2"}, {"sec-WebSocket-Key", "x"}, {"b", "3"}}, false},
		"white space":        {"A: \t x y\t \r\nB:z\r\n\r\n", wire.Fields{{"A", "x y"}, {"B", "z"}}, false},
		"empty values":       {"A:\r\nB: \r\n\r\n", wire.Fields{{"A", ""}, {"B", ""}}, false},
		"bytes above 127":    {"A: \xff\xc3\xa4\r\n\r\n", wire.Fields{{"A", "\xff\xc3\xa4"}}, false},
		"colons":             {"A: b:c\r\n\r\n", wire.Fields{{"A", "b:c"}}, false},
		"every mark":         {"!#$%&'*+-.^_`|~0z9A: x\r\n\r\n", wire.Fields{{"!#$%&'*+-.^_`|~0z9A", "x"}}, false},
		"LF alone":           {"A: b\nC: d\r\n\r\n", wire.Fields{{"A", "b"}, {"C", "d"}}, true},
		"LF alone at end":    {"A: b\r\n\n", wire.Fields{{"A", "b"}}, true},
	} {
		fields, bare, err := wire.ParseFields(nil, test.text)
		if err != nil || !slices.Equal(fields, test.want) || bare != test.bare {
			t.Errorf("%s: %q, bare %t, %v", name, fields, bare, err)
		}
		if n := wire.SectionEnd([]byte(test.text+"more"), 0); n != len(test.text) {
			t.Errorf("%s: ends after %d bytes, want %d", name, n, len(test.text))
		}
		for searched := range len(test.text) - 1 {
			if n := wire.SectionEnd([]byte(test.text[:searched]), 0); n != 0 {
				t.Errorf("%s: the first %d bytes end after %d", name, searched, n)
			}
			if n := wire.SectionEnd([]byte(test.text), searched); n != len(test.text) {
				t.Errorf("%s: with %d bytes searched ends after %d", name, searched, n)
			}
		}
	}
}

func TestParseFieldsRefuses(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"no colon":            "A\r\n",
		"no name":             ": b\r\n",
		"space in front":      " A: b\r\n",
		"continued":           "A: b\r\n c\r\n",
		"continued by a tab":  "A: b\r\n\tc: d\r\n",
		"space behind a name": "Content-Length : 2\r\n",
		"tab behind a name":   "A\t: b\r\n",
		"name of other bytes": "\xc3\xa4: b\r\n",
		"slash in a name":     "A/B: c\r\n",
		"NUL in a name":       "A\x00: b\r\n",
		"DEL in a name":       "A\x7f: b\r\n",
		"CR in a name":        "A\r: b\r\n",
		"CR in a value":       "A: b\rC: d\r\n",
		"CR before CRLF":      "A: b\r\r\n",
		"CR alone":            "\r\r\n",
		"NUL in a value":      "A: b\x00c\r\n",
		"NUL ends a value":    "A: b\x00\r\n",
		"control character":   "A: b\x1b[0m\r\n",
		"DEL in a value":      "A: \x7f\r\n",
	} {
		_, _, err := wire.ParseFields(nil, line+"\r\n")
		var refused *wire.Error
		if !errors.As(err, &refused) || refused.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLengthAndChunked(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int64{"0": 0, "007": 7, "9223372036854775807": 1<<63 - 1} {
		if n, err := (wire.Fields{{"content-length", value}}).Length(); n != want || err != nil {
			t.Errorf("%q: %d, %v", value, n, err)
		}
	}
	if n, err := (wire.Fields{{"Content-Lengths", "1"}}).Length(); n != -1 || err != nil {
		t.Errorf("no length: %d, %v", n, err)
	}
	for _, value := range []string{"", "+1", "-1", "1 1", "1, 1", "1,", "0x1", "1_0", "1.0", "9223372036854775808", "18446744073709551616"} {
		if n, err := (wire.Fields{{"Content-Length", value}}).Length(); err == nil {
			t.Errorf("%q: %d", value, n)
		}
	}
	if _, err := (wire.Fields{{"Content-Length", "1"}, {"content-length", "1"}}).Length(); err == nil {
		t.Error("two lengths are accepted")
	}
	if chunked, err := (wire.Fields{{"transfer-encoding", "Chunked"}}).Chunked(); !chunked || err != nil {
		t.Errorf("chunked: %t, %v", chunked, err)
	}
	for _, values := range [][]string{{""}, {"identity"}, {"gzip, chunked"}, {"chunked, chunked"}, {"chunked,"}, {"chunked;x"}, {"\vchunked"}, {"chunked", "chunked"}, {"chunked", "identity"}} {
		var fields wire.Fields
		for _, value := range values {
			fields = append(fields, wire.Field{Name: "Transfer-Encoding", Value: value})
		}
		if _, err := fields.Chunked(); err == nil {
			t.Errorf("%q is accepted", values)
		}
	}
}

func TestHasToken(t *testing.T) {
	t.Parallel()
	fields := wire.Fields{{"connection", "Keep-Alive ,\tUpgrade"}, {"Connection", "close"}}
	for token, want := range map[string]bool{"keep-alive": true, "upgrade": true, "CLOSE": true, "clos": false, "up": false} {
		if fields.HasToken("Connection", token) != want {
			t.Errorf("%s: want %t", token, want)
		}
	}
}

// FuzzParseFields compares with net/textproto: less is accepted, and what is
// accepted is read the same way.
func FuzzParseFields(f *testing.F) {
	for _, text := range []string{"A: b\r\n\r\n", "A : b\r\n\r\n", "A: b\r\n c\r\n\r\n", "a:\n\n", "A: \x00\r\n\r\n", "\r\n", "A:b\r\r\n\r\n", "\xff: b\r\n\r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := wire.SectionEnd([]byte(text), 0)
		if n == 0 {
			return
		}
		fields, _, err := wire.ParseFields(nil, text[:n])
		if err != nil {
			return
		}
		source := bufio.NewReader(strings.NewReader(text))
		header, err := textproto.NewReader(source).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%q: %q is accepted, but %v", text[:n], fields, err)
		}
		if left := source.Buffered(); left != len(text)-n {
			t.Fatalf("%q: ends after %d bytes, want %d", text, n, len(text)-left)
		}
		values := 0
		for _, field := range fields {
			if !slices.Contains(header.Values(field.Name), field.Value) {
				t.Fatalf("%q: %q, want %q", text, fields, header)
			}
		}
		for _, all := range header {
			values += len(all)
		}
		if values != len(fields) {
			t.Fatalf("%q: %q, want %q", text, fields, header)
		}
	})
}

// A control character is found wherever it stands, and nothing else is taken for one.
func TestIsText(t *testing.T) {
	t.Parallel()
	for _, around := range []string{"a", "\t", " ", "\x80", "\xff", "~", "\x9f"} {
		for length := range 40 {
			text := []byte(strings.Repeat(around, length))
			if !wire.IsText(string(text)) {
				t.Errorf("%q is text", text)
			}
			for at := range text {
				was := text[at]
				for c := range 256 {
					text[at] = byte(c)
					if want := c >= ' ' && c != 0x7f || c == '\t'; wire.IsText(string(text)) != want {
						t.Errorf("%q: %t, want %t", text, !want, want)
					}
				}
				text[at] = was
			}
		}
	}
}

func BenchmarkIsText(b *testing.B) {
	assertion := strings.Repeat("eyJh", 225)
	for b.Loop() {
		if !wire.IsText(assertion) {
			b.Fatal("an assertion is text")
		}
	}
}
