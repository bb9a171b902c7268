package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/browserid/strictjson"
)

type sample struct {
	Email  string `json:"email"`
	Number int64  `json:"number,omitempty"`
	Kind   string `json:"kind"`
	Inner  struct {
		Name string `json:"name"`
	} `json:"inner"`
	Secret string `json:"-"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got sample
	text := " {\"em\\u0061il\" : \"a@b\\n\", \"number\":5,\r\n\"unknown\":[{\"x\":1},{\"x\":2}], \"inner\":{\"name\":\"n\",\"other\":null} }\t"
	if err := strictjson.Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := sample{Email: "a@b\n", Number: 5}
	want.Inner.Name = "n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	open := map[string]any{}
	if err := strictjson.Decode([]byte(`{"a":1,"A":2,"":3}`), &open); err != nil || len(open) != 3 {
		t.Errorf("a map became %v, %v", open, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"nothing", "", "malformed JSON"},
		{"blank", "  \n", "malformed JSON"},
		{"cut off", `{"email":`, "malformed JSON"},
		{"array", `[{"email":"a"}]`, "not an object"},
		{"string", `"{}"`, "not an object"},
		{"null", `null`, "not an object"},
		{"trailing object", `{"email":"a"}{"email":"b"}`, "malformed JSON"},
		{"trailing text", `{"email":"a"} x`, "malformed JSON"},
		{"trailing NUL", "{}\x00", "malformed JSON"},
		{"trailing comma", `{"email":"a",}`, "malformed JSON"},
		{"comment", `{/* */}`, "malformed JSON"},
		{"single quotes", `{'email':'a'}`, "malformed JSON"},
		{"byte order mark", "\xef\xbb\xbf{}", "malformed JSON"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "UTF-8"},
		{"control character", "{\"email\":\"a\nb\"}", "malformed JSON"},
		{"not UTF-8", "{\"email\":\"\xff\"}", "UTF-8"},
		{"repeated", `{"email":"a","email":"b"}`, `"email" is there twice`},
		{"repeated, apart", `{"email":"a","number":1,"x":2,"email":"a"}`, `"email" is there twice`},
		{"repeated by an escape", `{"email":"a","\u0065mail":"b"}`, `"email" is there twice`},
		{"repeated unknown", `{"x":1,"x":1}`, `"x" is there twice`},
		{"repeated empty", `{"":1,"":1}`, `"" is there twice`},
		{"repeated inside", `{"inner":{"name":"a","name":"b"}}`, `"name" is there twice`},
		{"repeated in an array", `{"x":[[{"y":1,"y":2}]]}`, `"y" is there twice`},
		{"other case", `{"Email":"a"}`, `"Email" must be spelled "email"`},
		{"other case beside", `{"email":"a","EMAIL":"b"}`, `"EMAIL" must be spelled "email"`},
		{"other case inside", `{"inner":{"NAME":"a"}}`, `"NAME" must be spelled "name"`},
		{"letter that folds", "{\"\u212aind\":\"a\"}", `must be spelled "kind"`},
		{"unpaired surrogate in a name", `{"\ud800":1}`, "surrogate"},
		{"wrong type", `{"email":5}`, `member "email" is a JSON number`},
		{"fraction", `{"number":1.5}`, `member "number" is a JSON number`},
		{"exponent", `{"number":1e3}`, `member "number" is a JSON number`},
		{"too large", `{"number":92233720368547758080}`, `member "number" is a JSON number`},
		{"deep arrays", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested deeper"},
		{"deep objects", strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40), "nested deeper"},
		{"very deep", `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, "nested deeper than 32"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var v sample
			wantError(t, strictjson.Decode([]byte(test.in), &v), test.want)
		})
	}
}

func TestDecodeDepth(t *testing.T) {
	t.Parallel()
	var v sample
	deepest := `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`
	if err := strictjson.Decode([]byte(deepest), &v); err != nil {
		t.Errorf("depth 32: %v", err)
	}
	deeper := `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`
	wantError(t, strictjson.Decode([]byte(deeper), &v), "nested deeper than 32")
}

// What the scanner takes for JSON must be what encoding/json takes for it.
func FuzzScannerAgrees(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : [ 1 , -0.5e+7 , true , false , null , "\u00e9\n\\" , { } ] } `, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`,
		`{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":tru}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1 2}`, `{"a":[1,]}`, `{"a":"`, `{"a":"\`, `{"a":"\u12`,
		"{\"a\":\"\t\"}", `{"a":1}}`, `[1]`, `{a:1}`, `{"a":.5}`, `{"a":+1}`, `{"a":NaN}`, `{"a":1E-3}`, `{"a":"\/\b\f\r\t"}`, ``, `{`, "{\"a\":1}\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var members map[string]json.RawMessage
		err := strictjson.Decode(data, &members)
		if !json.Valid(data) && (err == nil || strings.Contains(err.Error(), "decoding JSON")) {
			t.Errorf("%q was taken for JSON: %v", data, err)
		}
		if err != nil && json.Valid(data) && strings.Contains(err.Error(), "malformed JSON") {
			t.Errorf("%q was called malformed: %v", data, err)
		}
		for name := range members {
			if err == nil && !utf8.ValidString(name) {
				t.Errorf("the name %q was read", name)
			}
		}
	})
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%v, want an error with %q", err, part)
	}
}
