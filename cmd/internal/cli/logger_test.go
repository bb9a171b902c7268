//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/apptest"
)

// TestLogIsPrintable: whatever clients send, a terminal that shows the log gets no control
// characters and nothing that turns the direction of text; in JSON nothing is lost by it.
func TestLogIsPrintable(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "console"} {
		folder := t.TempDir()
		apptest.Write(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf("state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n"+
			"tls: {mode: off}\ntrusted_proxies: [private]\nlog: {format: %s}\ndomains:\n  - {name: example.com, upstream: \"http://127.0.0.1:1\"}\n", format))
		p := serve(t, folder)
		var at []string
		apptest.Eventually(t, "it is ready", func() bool {
			_, after, _ := strings.Cut(strings.ReplaceAll(p.log.String(), `"`, ""), "http")
			at = strings.FieldsFunc(after, func(c rune) bool { return strings.ContainsRune("=:, \n\x1b", c) })
			return strings.Contains(p.log.String(), "ready") && len(at) > 1
		})
		conn, err := net.Dial("tcp", at[0]+":"+at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(apptest.Patience))
		const foreign = "a\u009b31m\u202eb\u200f\u00e9\U000e0001"
		fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: %s\xff\r\nConnection: close\r\n\r\n", foreign, foreign)
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		var line string
		apptest.Eventually(t, "the request is logged", func() bool {
			for each := range strings.Lines(p.log.String()) {
				if strings.Contains(each, "31m") {
					line = each
				}
			}
			return line != ""
		})
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\u009b\u202e\u200f\U000e0001") {
			t.Errorf("%s: logged %q", format, line)
		}
		if format == "json" {
			var fields struct{ Path, User_agent string }
			if err := json.Unmarshal([]byte(line), &fields); err != nil || fields.Path != "/"+foreign || fields.User_agent != foreign+"\ufffd" {
				t.Errorf("%v: %+q", err, fields)
			}
		}
	}
}
