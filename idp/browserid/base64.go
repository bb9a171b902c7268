package browserid

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// encoding is base64url without padding (RFC 4648 section 5).
func encoding() *base64.Encoding { return base64.RawURLEncoding }

// strictEncoding is encoding that refuses bits after the end.
var strictEncoding = encoding().Strict()

// decodeBase64 reads base64url so strictly that every sequence of bytes has
// one spelling: no padding, no bits after the end, and none of the line breaks
// that encoding/base64 passes over. It decodes behind what is in space, which
// grows by that.
func decodeBase64(text, space []byte) (data, grown []byte, err error) {
	start := len(space)
	grown, err = strictEncoding.AppendDecode(space, text)
	switch {
	case err != nil && bytes.IndexByte(text, '=') >= 0:
		return nil, space, errors.New("base64url with padding")
	case err != nil:
		return nil, space, errors.New("malformed base64url")
	case encoding().EncodedLen(len(grown)-start) != len(text): // something was passed over
		return nil, space, errors.New("base64url with a line break")
	}
	return grown[start:len(grown):len(grown)], grown, nil
}
