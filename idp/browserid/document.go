package browserid

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"persona-sidecar/idp/browserid/strictjson"
)

// DocumentPath is where a domain publishes its document.
const DocumentPath = "/.well-known/browserid"

// longestDocument bounds a document in bytes. Typical is 740.
const longestDocument = 64 << 10

// mostKeys bounds the keys of a document: each one costs a verification.
const mostKeys = 16

// Document is what a domain publishes at [DocumentPath]: a [Support], a
// [Delegation] or a [Disabled].
type Document interface{ isDocument() }

// Support says that a domain is an identity provider.
type Support struct {
	PublicKey      *PublicKey   // the key that all verifiers read
	Keys           []*PublicKey // more keys, while a rotation overlaps; else nil
	Authentication string       // absolute path of the sign-in page
	Provisioning   string       // absolute path of the provisioning page
}

// Delegation says that another host speaks for a domain.
type Delegation struct {
	Authority string // host or host:port, see [ParseAuthority]
}

// Disabled says that a domain is no identity provider.
type Disabled struct{}

func (Support) isDocument()    {}
func (Delegation) isDocument() {}
func (Disabled) isDocument()   {}

// SigningKeys returns every key that the domain's certificates may be signed
// with, PublicKey first, each once.
func (s Support) SigningKeys() []*PublicKey {
	var all []*PublicKey
	for _, key := range append([]*PublicKey{s.PublicKey}, s.Keys...) {
		if key != nil && !slices.ContainsFunc(all, key.Equal) {
			all = append(all, key)
		}
	}
	return all
}

// ParseDocument reads a document of at most 64 KiB. "disabled" goes before
// "authority", and that before all the rest, as in every historic parser.
// Paths must be of the subset that these parsers agreed on: absolute, no query,
// no escapes, no dot segments, no second slash at the start. Append them to
// https://authority; do not resolve them. Unknown members are ignored. In
// "keys", entries for another use than "sig" are passed over; any other entry
// that is no key makes the document an error.
func ParseDocument(data []byte) (Document, error) {
	if len(data) > longestDocument {
		return nil, fmt.Errorf("support document is longer than %d bytes", longestDocument)
	}
	doc, err := parseDocument(data)
	if err != nil {
		return nil, fmt.Errorf("support document: %w", err)
	}
	return doc, nil
}

func parseDocument(data []byte) (Document, error) {
	obj, err := strictjson.Parse(data)
	if err != nil {
		return nil, err
	}
	if value, ok := obj.Get("disabled"); ok {
		switch string(value) {
		case "true":
			return Disabled{}, nil
		case "false":
		default:
			return nil, errors.New("disabled must be either true or false")
		}
	}
	if _, ok := obj.Get("authority"); ok {
		return parseDelegation(obj)
	}
	return parseSupport(obj)
}

func parseDelegation(obj strictjson.Object) (Document, error) {
	text, err := obj.Text("authority")
	if err != nil {
		return nil, fmt.Errorf("malformed authority: %w", err)
	}
	authority, err := ParseAuthority(text)
	if err != nil {
		return nil, err
	}
	return Delegation{authority}, nil
}

func parseSupport(obj strictjson.Object) (Document, error) {
	var doc Support
	var err error
	if doc.PublicKey, doc.Keys, err = parseDomainKeys(obj); err != nil {
		return nil, err
	}
	if len(doc.Keys) > 0 {
		doc.Keys = doc.SigningKeys()
	}
	if doc.Authentication, err = obj.Text("authentication"); err != nil {
		return nil, err
	}
	if doc.Provisioning, err = obj.Text("provisioning"); err != nil {
		return nil, err
	}
	if err := doc.check(); err != nil {
		return nil, err
	}
	return doc, nil
}

// parseDomainKeys reads "public-key" and "keys". One of them may be absent; the
// first of the keys then stands for the public key.
func parseDomainKeys(obj strictjson.Object) (*PublicKey, []*PublicKey, error) {
	keys, err := parseKeys(obj)
	if err != nil {
		return nil, nil, err
	}
	value, ok := obj.Get("public-key")
	switch {
	case ok && value[0] != '{':
		return nil, nil, errors.New(`"public-key" is not an object`)
	case !ok && len(keys) == 0:
		return nil, nil, errors.New(`"public-key" is missing`)
	case !ok:
		return keys[0], keys, nil
	}
	key, err := ParsePublicKey(value)
	if err != nil {
		return nil, nil, err
	}
	return key, keys, key.refuseDSA()
}

// refuseDSA keeps DSA for browsers: from a domain's signatures made with bad
// randomness its DSA key can be computed, and with it certificates for every
// address there.
func (k *PublicKey) refuseDSA() error {
	if k.dsa != nil {
		return fmt.Errorf("public key: a DSA key is %w for a domain", ErrNotSupported)
	}
	return nil
}

func parseKeys(obj strictjson.Object) ([]*PublicKey, error) {
	array, ok := obj.Get("keys")
	if !ok {
		return nil, nil
	}
	if array[0] != '[' {
		return nil, errors.New(`"keys" is not an array`)
	}
	var keys []*PublicKey
	for i, element := range strictjson.Elements(array) {
		if i == mostKeys {
			return nil, fmt.Errorf(`"keys" has more than %d entries`, mostKeys)
		}
		key, err := parseEntry(element)
		if err != nil {
			return nil, fmt.Errorf(`"keys", entry %d: %w`, i+1, err)
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// parseEntry returns nil for an entry with another use than signing.
func parseEntry(element []byte) (*PublicKey, error) {
	obj, err := strictjson.Parse(element)
	if err != nil {
		return nil, err
	}
	if use, ok := obj.Get("use"); ok && string(use) != `"sig"` {
		return nil, nil
	}
	key, err := parseKey(obj)
	if err != nil {
		return nil, err
	}
	return key, key.refuseDSA()
}

func (s Support) check() error {
	if s.PublicKey == nil || slices.Contains(s.Keys, nil) {
		return errors.New(`"public-key" is missing`)
	}
	for _, key := range s.SigningKeys() {
		if err := key.refuseDSA(); err != nil {
			return err
		}
	}
	if len(s.SigningKeys()) > mostKeys {
		return fmt.Errorf(`"keys" has more than %d entries`, mostKeys)
	}
	if err := checkPath("authentication", s.Authentication); err != nil {
		return err
	}
	return checkPath("provisioning", s.Provisioning)
}

// checkPath accepts the paths that all historic parsers accepted.
func checkPath(name, path string) error {
	const signs = "/-._~!$&()*+,;=:@"
	switch {
	case len(path) > 2048:
		return fmt.Errorf("invalid path: %q is longer than 2048", name)
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("invalid path: %q must start with a slash", name)
	case strings.HasPrefix(path, "//"):
		return fmt.Errorf("invalid path: %q must start with one slash only", name)
	}
	for i := range len(path) {
		c := path[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(signs, c) < 0 {
			return fmt.Errorf("invalid path: %q has the character %s", name, strictjson.Quote(path[i:i+1]))
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("invalid path: %q has the segment %q", name, segment)
		}
	}
	return nil
}

// MarshalDocument writes a document as compact JSON, and refuses what
// [ParseDocument] would refuse. With Keys, the member "keys" lists PublicKey
// too: newer verifiers look only there.
func MarshalDocument(doc Document) ([]byte, error) {
	switch doc := doc.(type) {
	case Support:
		if err := doc.check(); err != nil {
			return nil, fmt.Errorf("support document: %w", err)
		}
		return doc.appendJSON(nil), nil
	case Delegation:
		if _, err := ParseAuthority(doc.Authority); err != nil {
			return nil, fmt.Errorf("support document: %w", err)
		}
		return []byte(`{"authority":"` + doc.Authority + `"}`), nil
	case Disabled:
		return []byte(`{"disabled":true}`), nil
	}
	return nil, fmt.Errorf("support document: %T is none", doc)
}

// appendJSON needs no escaping: the paths' alphabet has no quotes.
func (s Support) appendJSON(b []byte) []byte {
	b = append(b, `{"public-key":`...)
	b = s.PublicKey.appendJSON(b)
	if len(s.Keys) > 0 {
		b = append(b, `,"keys":`...)
		for i, key := range s.SigningKeys() {
			b = append(b, "[,"[min(i, 1)])
			b = key.appendJSON(b)
		}
		b = append(b, ']')
	}
	b = append(b, `,"authentication":"`...)
	b = append(b, s.Authentication...)
	b = append(b, `","provisioning":"`...)
	b = append(b, s.Provisioning...)
	return append(b, `"}`...)
}
