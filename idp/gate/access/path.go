package access

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Odd reports whether a path, given as it was sent, is one that servers are known to take
// for different ones, in ways that no rule can foresee: it
//   - does not begin with one "/";
//   - holds "\" or ";", escaped or not, an escaped "/", or a "#" that is not escaped;
//   - holds a segment of nothing but dots, such as "..", or of dots and blanks;
//   - has an escape that is none, one that decodes into a control character, or one that
//     decodes into a further escape;
//   - is no UTF-8 once it is decoded (some of it is an overlong "/" or ".");
//   - is longer than any title or name of a file, and not so plain that there is nothing to it: to
//     find out what it can be taken for would take milliseconds;
//   - names a stream of an NTFS file, as "/a::$DATA" does.
func Odd(path string) bool {
	decoded, ok := decode(path)
	if !ok || path == "" || path[0] != '/' || strings.HasPrefix(path, "//") {
		return true
	}
	if strings.Contains(path, "#") || strings.Count(decoded, "/") != strings.Count(path, "/") || strings.Contains(decoded, ":$") {
		return true
	}
	ascii, segment, dots := true, false, false // segment: the current one holds more than dots and blanks
	for i := range len(decoded) {
		c := decoded[i]
		switch {
		case c < ' ' || c == 0x7f || c == '\\' || c == ';' || c == '%' && escapes(decoded[i:]):
			return true
		case c == '/':
			if dots && !segment {
				return true
			}
			segment, dots = false, false
			continue
		case c == '.':
			dots = true
		case c != ' ':
			segment = true
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	long := !ascii && len(decoded) > longestForeign || len(decoded) > longestFolded && !simple(decoded)
	return dots && !segment || !ascii && !utf8.ValidString(decoded) || long
}

// The longest texts that fold is given, in bytes: with characters that are not ASCII, of which
// some are many to it, and at all.
const (
	longestForeign = 2 << 10
	longestFolded  = 8 << 10
)

// escapes reports whether a text begins with "%xx", or "%uxxxx" as IIS reads it.
func escapes(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) ||
		len(s) >= 6 && s[1]|0x20 == 'u' && isHex(s[2]) && isHex(s[3]) && isHex(s[4]) && isHex(s[5])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// decode decodes a path once. It reports false, and returns the path as it is, when an
// escape is malformed.
func decode(path string) (string, bool) {
	first := strings.IndexByte(path, '%')
	if first < 0 {
		return path, true
	}
	digit := func(c byte) byte {
		if c <= '9' {
			return c - '0'
		}
		return c | 0x20 - 'a' + 10
	}
	decoded := append(make([]byte, 0, len(path)), path[:first]...)
	for i := first; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return path, false
			}
			c = digit(path[i+1])<<4 | digit(path[i+2])
			i += 2
		}
		decoded = append(decoded, c)
	}
	return string(decoded), true
}

// simple reports whether fold changes nothing in a decoded path but its case.
func simple(decoded string) bool {
	for i := range len(decoded) {
		c := decoded[i]
		if c >= utf8.RuneSelf || c == ' ' || c == '+' || c == '#' || c == '?' {
			return false
		}
		end := i+1 == len(decoded) || decoded[i+1] == '/'
		if c == '.' && end || c == '/' && i+1 < len(decoded) && end {
			return false
		}
	}
	return true
}

// fold returns the spelling that a decoded path has in common with all others that some
// website takes for the same: without regard to case and width of letters, to characters
// that are not seen, to doubled slashes, to dots and blanks at the end of a segment
// (Windows drops them), and with "+" for a blank.
func fold(decoded string) string {
	visible := func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r): // HFS+ ignores them
			return -1
		case r == '\\':
			return '/'
		}
		return r
	}
	// A wide ";" or ".." is one to those who convert to another character set.
	segments := strings.Split(path.Clean(strings.Map(visible, norm.NFKC.String(decoded))), "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		segments[i] = strings.ReplaceAll(strings.TrimRight(strings.TrimLeft(segment, " "), " ."), "+", " ")
	}
	// Both ways, for those letters that have more than one lower case.
	return strings.ToLower(strings.ToUpper(path.Clean("/" + strings.Join(segments, "/"))))
}
