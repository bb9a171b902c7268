package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// quote returns a text of the configuration as a fault may show it.
func quote(text string) string { return strconv.Quote(shorten(text)) }

func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// text returns a scalar as it is written. A number or a word such as true is a
// text too where a text is wanted, as for a password of digits.
func (v value) text() (string, bool) {
	if v.node.Kind == yaml.ScalarNode {
		switch v.node.ShortTag() {
		case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
			return v.node.Value, true
		}
	}
	v.fault("is not a text", "write one value, in quotes if it has special characters")
	return "", false
}

// word returns a text out of a few. Those in later are refused as such.
func (v value) word(known, later []string) string {
	text, ok := v.text()
	if !ok || slices.Contains(known, text) {
		return text
	}
	if slices.Contains(later, text) {
		v.fault(quote(text)+" is not available yet", "use "+alternatives(known))
		return ""
	}
	v.fault(quote(text)+" is not a known value", "use "+alternatives(known))
	return ""
}

// alternatives returns "a", "a or b", "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// boolean returns true or false.
func (v value) boolean() bool {
	text, ok := v.text()
	if !ok {
		return false
	}
	unquoted := ""
	if v.inFile() {
		unquoted = ", without quotes"
	}
	if text != "true" && text != "false" || v.variable() == "" && v.node.ShortTag() != "!!bool" {
		v.fault(quote(text)+" is neither true nor false", "write true or false"+unquoted)
	}
	return text == "true"
}

// integer returns a whole number within bounds.
func (v value) integer(least, most int) int {
	text, ok := v.text()
	if !ok {
		return least
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		v.fault(quote(text)+" is not a whole number that fits", fmt.Sprintf("write %d to %d", least, most))
	}
	return n
}

// duration returns a time with its unit, within bounds.
func (v value) duration(least, most time.Duration) time.Duration {
	text, ok := v.text()
	if !ok {
		return least
	}
	bounds := fmt.Sprintf("write %s to %s", short(least), short(most))
	d, err := time.ParseDuration(text)
	if _, numeric := strconv.ParseFloat(text, 64); err != nil && numeric == nil {
		v.fault(quote(text)+" has no unit", bounds+", with a unit such as 30m or 1h")
		return least
	}
	switch {
	case err != nil:
		v.fault(quote(text)+" is not a duration", bounds+", as in 90s, 30m or 1h30m")
	case d < least:
		v.fault(quote(text)+" is too short", bounds)
	case d > most:
		v.fault(quote(text)+" is too long", bounds)
	}
	return d
}

// short returns a duration without the units that are zero: 1h, not 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// listenAddress returns an address as net.Listen takes it, or "" for none.
func (v value) listenAddress(example string) string {
	text, ok := v.text()
	if !ok || text == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		v.fault(quote(text)+" is not an address to listen on", fmt.Sprintf("write %q or %q", example, "127.0.0.1"+example))
		return text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		v.fault(fmt.Sprintf("the port of %s is not a number from 0 to 65535", quote(text)), fmt.Sprintf("write %q", example))
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		if _, problem, _ := hostName(host); problem != "" {
			v.fault(fmt.Sprintf("the host of %s is neither an IP address nor a name", quote(text)), fmt.Sprintf("write %q", example))
		}
	}
	return text
}

// maxSecret bounds a secret in a file, in bytes.
const maxSecret = 64 << 10

// secret returns the text of this place, as it is.
func (v value) secret() Secret {
	text, _ := v.text()
	return NewSecret(text)
}

// secretFile returns the text of the file that is named here, without one
// trailing end of line.
func (v value) secretFile() Secret {
	path := v.filePath()
	if path == "" {
		return Secret{}
	}
	data, ok := v.readFile(path, maxSecret)
	if !ok {
		return Secret{}
	}
	if !slices.Contains(v.r.secrets, path) {
		v.r.secrets = append(v.r.secrets, path)
	}
	text, found := strings.CutSuffix(string(data), "\n")
	if found {
		text = strings.TrimSuffix(text, "\r")
	}
	if text == "" {
		v.fault(fmt.Sprintf("the file %s is empty", path), "write the secret into it")
	}
	return NewSecret(text)
}

// roots returns the certificates of the PEM file that is named here.
func (v value) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	v.addRoots(roots)
	return roots
}

// systemRootsAnd returns the system's roots and those of the file that is named
// here.
func (v value) systemRootsAnd() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		v.fault(fmt.Sprintf("reading the system's root certificates: %v", err), "install them, as the package ca-certificates does")
		return nil
	}
	v.addRoots(roots)
	return roots
}

func (v value) addRoots(roots *x509.CertPool) {
	path := v.filePath()
	data, ok := v.readFile(path, maxFile)
	if ok && !roots.AppendCertsFromPEM(data) {
		v.fault(fmt.Sprintf("the file %s holds no certificate", path), "give certificates in PEM form: -----BEGIN CERTIFICATE-----")
	}
}

// readFile returns the content of a file that the configuration names.
func (v value) readFile(path string, most int64) ([]byte, bool) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		v.fault(path+" is not a file", "give the path of a file")
		return nil, false
	}
	if err == nil && info.Size() > most {
		v.fault(fmt.Sprintf("the file %s is larger than %d KiB", path, most>>10), "give the path of the right file")
		return nil, false
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	switch {
	case err == nil:
		return data, true
	case errors.Is(err, fs.ErrNotExist):
		v.fault(fmt.Sprintf("the file %s does not exist", path), "create it, or mend the path")
	case errors.Is(err, fs.ErrPermission):
		v.fault(fmt.Sprintf("the file %s may not be read", path), "make it readable for the user that runs persona")
	default:
		v.fault(fmt.Sprintf("reading the file %s: %v", path, errors.Unwrap(err)), "mend the path")
	}
	return nil, false
}
