package check

import (
	"context"
	"net/http"
	"regexp"
	"strings"
)

// mostScripts bounds how many scripts of a website are read.
const mostScripts = 20

var (
	registers = regexp.MustCompile(`serviceWorker\s*(\?\.|\.|\[['"])\s*register\b`)
	// workerPaths are where service workers usually lie.
	workerPaths = []string{"/sw.js", "/service-worker.js", "/serviceworker.js", "/ngsw-worker.js", "/firebase-messaging-sw.js", "/OneSignalSDKWorker.js"}
)

// lookAtWorkers looks for a service worker of the website: one whose scope is /
// stands between our pages and the browser.
func (w *website) lookAtWorkers(ctx context.Context) Finding {
	if w.home.Response == nil {
		return skipped("the website shows no page")
	}
	where := w.registration(ctx)
	if where == "" {
		where = w.workerFile(ctx)
	}
	if where == "" {
		return passed("none found")
	}
	return warned("give identity a host of its own (authority: "+w.proposal()+"), or keep the worker's scope away from /persona/",
		"%s: a service worker of the website controls the sign-in pages, too", where)
}

// registration returns where the website registers a worker.
func (w *website) registration(ctx context.Context) string {
	if registers.Match(w.home.body) {
		return "its page registers one"
	}
	count := 0
	for _, match := range scriptSource.FindAllSubmatch(w.home.body, -1) {
		source, err := w.home.Request.URL.Parse(string(match[1]))
		own := err == nil && (source.Host == w.host.Upstream.Host || source.Host == w.host.Name)
		if !own {
			continue
		}
		if count++; count > mostScripts {
			break
		}
		got, err := w.get(ctx, source.RequestURI(), nil)
		if err == nil && got.StatusCode == http.StatusOK && registers.Match(got.body) {
			return "its script " + source.Path + " registers one"
		}
	}
	return ""
}

// workerFile returns where a worker's script lies.
func (w *website) workerFile(ctx context.Context) string {
	for _, path := range workerPaths {
		got, err := w.get(ctx, path, http.Header{"Service-Worker": {"script"}})
		if err == nil && got.StatusCode == http.StatusOK && strings.Contains(strings.ToLower(got.Header.Get("Content-Type")), "javascript") {
			return "there is " + path
		}
	}
	return ""
}
