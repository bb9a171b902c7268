package conformance_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// request is what reached a website, read by a parser that accepts one spelling of everything: whatever another server
// might read differently is a fault.
type request struct {
	line     string
	fields   []field
	body     string
	trailers []field
	cut      bool // ended before its end
}

type field struct{ name, value string }

// errCut is the end of a request before its end; errEnd that of a connection between two requests.
var (
	errCut = errors.New("cut off")
	errEnd = errors.New("the connection ended")
)

// asked returns the request's method and target.
func (r request) asked() string { return strings.TrimSuffix(r.line, " HTTP/1.1") }

func (r request) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%q", r.line)
	for _, f := range r.fields {
		fmt.Fprintf(&out, " [%s: %q]", f.name, f.value)
	}
	if r.body != "" {
		fmt.Fprintf(&out, " body %.200q", r.body)
	}
	for _, f := range r.trailers {
		fmt.Fprintf(&out, " trailer [%s: %q]", f.name, f.value)
	}
	if r.cut {
		out.WriteString(" cut off")
	}
	return out.String()
}

// readHead reads a request up to its body.
func readHead(in *bufio.Reader) (r request, err error) {
	if _, err := in.Peek(1); err != nil {
		return r, errEnd
	}
	if r.line, err = readLine(in); err != nil {
		return r, err
	}
	words := strings.Split(r.line, " ")
	if len(words) != 3 || !token(words[0]) || words[1] == "" || words[2] != "HTTP/1.1" {
		return r, fmt.Errorf("the request line %q", r.line)
	}
	r.fields, err = readFields(in)
	return r, err
}

// readBody reads what follows the head: by a single length, or in chunks.
func (r *request) readBody(in *bufio.Reader) error {
	var lengths, codings, hosts []string
	for _, f := range r.fields {
		switch f.name {
		case "content-length":
			lengths = append(lengths, f.value)
		case "transfer-encoding":
			codings = append(codings, f.value)
		case "host":
			hosts = append(hosts, f.value)
		}
	}
	if len(hosts) != 1 || len(lengths)+len(codings) > 1 || len(codings) == 1 && codings[0] != "chunked" {
		return fmt.Errorf("hosts %q, lengths %q and codings %q", hosts, lengths, codings)
	}
	if len(lengths) == 1 {
		length, err := size(lengths[0], 10)
		if err != nil {
			return err
		}
		return r.readData(in, length)
	}
	if len(codings) == 0 {
		return nil
	}
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		length, err := size(line, 16)
		if err != nil {
			return err
		}
		if length == 0 {
			r.trailers, err = readFields(in)
			return err
		}
		if err := r.readData(in, length); err != nil {
			return err
		}
		if end, err := readLine(in); err != nil || end != "" {
			return errors.Join(err, fmt.Errorf("a chunk is followed by %q", end))
		}
	}
}

func (r *request) readData(in *bufio.Reader, length int64) error {
	data, err := io.ReadAll(io.LimitReader(in, length))
	r.body += string(data)
	if err != nil || int64(len(data)) < length {
		return errCut
	}
	return nil
}

// readFields reads field lines and the empty line behind them. The names are in lower case, as no server tells them apart.
func readFields(in *bufio.Reader) (fields []field, err error) {
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return fields, err
		}
		name, value, colon := strings.Cut(line, ":")
		if !colon || !token(name) || strings.Trim(value, " \t") != strings.TrimPrefix(value, " ") {
			return fields, fmt.Errorf("the field line %q", line)
		}
		fields = append(fields, field{strings.ToLower(name), strings.TrimPrefix(value, " ")})
	}
}

// readLine reads a line that ends in CR LF and holds no other control character than a tab.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return line, errCut
	}
	text, ended := strings.CutSuffix(line, "\r\n")
	if !ended || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return "", fmt.Errorf("the line %q", line)
	}
	return text, nil
}

func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

func size(s string, base int) (int64, error) {
	n, err := strconv.ParseInt(s, base, 63)
	if err != nil || strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("the length %q", s)
	}
	return n, nil
}

// sorted returns fields by their names; those of one name stay in their order.
func sorted(fields []field) []field {
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}
