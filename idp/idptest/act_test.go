package idptest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// TestBrowserLeave: each way to end a page, many times: an answer that is lost is no
// error, and afterwards the page is gone.
func TestBrowserLeave(t *testing.T) {
	const here, there = "https://here.example.test/", "https://there.other.test/"
	authority := idptest.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>page</title><form action="` + there + `"><input id="field"><button id="submit">Go</button></form>
			<button id="close" type="button" onclick="window.close()">Close</button>`))
	}))
	server.TLS = authority.TLS(t, "*.example.test", "*.other.test")
	server.StartTLS()
	t.Cleanup(server.Close)
	ctx := idptest.NewBrowser(t, idptest.BrowserOptions{Address: server.Listener.Addr().String(), Trust: authority.KeyHash()})

	for range 5 {
		for name, act := range map[string]chromedp.Action[chromedp.Void]{
			"script": idptest.Script(`location.assign("` + there + `")`),
			"click":  idptest.Click("#submit"),
			"key":    chromedp.Steps(idptest.Type("#field", "x"), idptest.Press("\r")),
		} {
			if err := chromedp.Do(ctx, chromedp.Navigate(here), idptest.Leave(act)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			at, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href`))
			if err != nil || !strings.HasPrefix(at, there) {
				t.Fatalf("%s: at %s: %v", name, at, err)
			}
		}
		for name, act := range map[string]chromedp.Action[chromedp.Void]{"script": idptest.Script(`close()`), "click": idptest.Click("#close")} {
			popup := idptest.Popup(ctx, t, func() {
				if err := chromedp.Do(ctx, idptest.Script(`open("`+here+`")`)); err != nil {
					t.Fatal(err)
				}
			})
			if err := chromedp.Do(popup, idptest.Visible("#close"), idptest.Leave(act)); err != nil {
				t.Fatalf("closing by %s: %v", name, err)
			}
		}
	}

	// What does not leave the page, and what fails in it, are errors.
	if err := chromedp.Do(ctx, chromedp.Navigate(here), idptest.Script(`throw new Error("thrown")`)); err == nil || !strings.Contains(err.Error(), "thrown") {
		t.Errorf("a script that throws: %v", err)
	}
	short, cancel := context.WithCancel(ctx)
	stay := chromedp.Func(func(context.Context, *chromedp.Target) error { cancel(); return nil })
	if err := chromedp.Do(short, idptest.Leave(stay)); err == nil {
		t.Error("a page that stays counts as left")
	}
}
