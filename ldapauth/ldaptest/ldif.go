package ldaptest

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the storage scheme of the directory, not of ours
	"encoding/base64"
	"strings"
)

// entry is one LDIF record (RFC 2849); values of one attribute stand together,
// as slapadd wants them.
type entry struct {
	dn     string
	values [][2]string
}

func (e entry) with(attribute string, values ...string) entry {
	for _, v := range values {
		e.values = append(e.values, [2]string{attribute, v})
	}
	return e
}

// ldif writes every value in base64, so that no value needs special care.
func ldif(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		writeLine(&b, "dn", e.dn)
		for _, v := range e.values {
			writeLine(&b, v[0], v[1])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func writeLine(b *strings.Builder, name, value string) {
	b.WriteString(name)
	b.WriteString(":: ")
	b.WriteString(base64.StdEncoding.EncodeToString([]byte(value)))
	b.WriteByte('\n')
}

// saltedHash stores a password as most OpenLDAP directories do, {SSHA}.
func saltedHash(password string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
