// Package printable makes text from outside fit for a log line, a terminal or a page:
// without control characters, without characters that change the direction of text,
// and in valid UTF-8.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text cuts a foreign text to a number of characters and replaces what is not
// printable by U+FFFD. A text that was cut ends with an ellipsis.
func Text(text string, limit int) string {
	if len(text) <= limit && plain(text) {
		return text
	}
	var b strings.Builder
	for _, c := range text { // a byte that is not UTF-8 gives U+FFFD
		if limit--; limit < 0 {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(c) {
			c = utf8.RuneError
		}
		b.WriteRune(c)
	}
	return b.String()
}

// plain reports whether a text is printable ASCII, as nearly all are.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
