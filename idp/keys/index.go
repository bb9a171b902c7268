package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

const indexVersion = 1

// index is the content of an index.json.
type index struct {
	Version int          `json:"version"`
	Host    string       `json:"host,omitempty"`
	Keys    []indexEntry `json:"keys"`
}

type indexEntry struct {
	KID     string    `json:"kid"`
	Use     Use       `json:"use"`
	Alg     string    `json:"alg"`
	Created time.Time `json:"created"`
	Retires time.Time `json:"retires,omitzero"`
}

func (e indexEntry) entry(host string) Entry {
	return Entry{KID: e.KID, Host: host, Use: e.Use, Alg: e.Alg, Created: e.Created, Retires: e.Retires}
}

// parseIndex reads the index of a host ("": of the program).
func parseIndex(data []byte, host string) (index, error) {
	var i index
	if err := browserid.DecodeObject(data, &i); err != nil {
		return index{}, err
	}
	if i.Version != indexVersion {
		return index{}, fmt.Errorf("version %d is not %d, the one that this program writes", i.Version, indexVersion)
	}
	if i.Host != host {
		return index{}, fmt.Errorf("it is the index of %q, not of %q", i.Host, host)
	}
	var kids []string
	for _, e := range i.Keys {
		if err := e.check(host); err != nil {
			return index{}, err
		}
		if slices.Contains(kids, e.KID) {
			return index{}, fmt.Errorf("it names the key %s twice", e.KID)
		}
		kids = append(kids, e.KID)
	}
	return i, nil
}

func (e indexEntry) check(host string) error {
	if len(e.KID) != kidLen || strings.Trim(e.KID, "0123456789abcdef") != "" {
		return fmt.Errorf("%.40q is not the id of a key", e.KID)
	}
	alg, err := Want{Host: host, Use: e.Use}.alg()
	if err != nil {
		return fmt.Errorf("key %s: %w", e.KID, err)
	}
	if e.Alg != alg {
		return fmt.Errorf("key %s: the algorithm %.40q does not fit the use %q", e.KID, e.Alg, e.Use)
	}
	if e.Created.IsZero() {
		return fmt.Errorf("key %s: it does not say when the key was created", e.KID)
	}
	return nil
}

func (i index) marshal() ([]byte, error) {
	data, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the index: %w", err)
	}
	return append(data, '\n'), nil
}

// alg is the algorithm that serves what is wanted.
func (w Want) alg() (string, error) {
	switch {
	case w.Use == UseCertificates && validHost(w.Host):
		return algRS256, nil
	case w.Use == UseSession && w.Host == "":
		return algA256GCM, nil
	case w.Use == UseCertificates:
		return "", fmt.Errorf("%q is not the canonical name of an identity host", w.Host)
	case w.Use == UseSession:
		return "", errors.New("the session key is the program's, not a host's")
	}
	return "", fmt.Errorf("the use %.40q is unknown", w.Use)
}

// validHost tells whether a name is canonical enough to name a directory.
func validHost(host string) bool {
	return host != "" && len(host) <= 253 && !strings.HasPrefix(host, ".") &&
		strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
