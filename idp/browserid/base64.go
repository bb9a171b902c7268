package browserid

import (
	"encoding/base64"
	"errors"
	"strings"
)

// encoding is base64url without padding (RFC 4648 section 5).
func encoding() *base64.Encoding { return base64.RawURLEncoding }

// decodeBase64 reads base64url so strictly that every sequence of bytes has
// one spelling: no padding, no bits after the end, and none of the line breaks
// that encoding/base64 passes over.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("base64url with a line break")
	}
	if strings.Contains(text, "=") {
		return nil, errors.New("base64url with padding")
	}
	data, err := encoding().Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("malformed base64url")
	}
	return data, nil
}
