package printable_test

import (
	"testing"

	"persona-sidecar/idp/printable"
)

func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"plain text":               "plain text",
		"bücher 日本":                "bücher 日本",
		"0123456789x":              "0123456789…",
		"ümläutübérx":              "ümläutübér…",
		"a\x1b[31m\r\n\tb":         "a�[31m���b",
		"\u009b31m":                "�31m", // the control sequence introducer of terminals
		"\xc2\x9b\x9b":             "��",
		"\u202egnp.exe\u2066":      "�gnp.exe�",
		"\u200f\ufeff\u2028\u00ad": "����",
		"\xff\xfeok":               "��ok",
	} {
		if got := printable.Text(text, 10); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
