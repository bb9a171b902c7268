package cli

import "testing"

// TestPlain: one byte that is not plain is found wherever it stands.
func TestPlain(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		line := make([]byte, length)
		for c := range 256 {
			for i := range line {
				for j := range line {
					line[j] = ' '
				}
				line[i] = byte(c)
				if plain(line) != (c < 0x7f) {
					t.Fatalf("byte %#x at %d of %d", c, i, length)
				}
			}
		}
	}
}
