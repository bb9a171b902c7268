package web_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp/web"

	"github.com/google/go-cmp/cmp"
)

func newWeb(t *testing.T) *web.Web {
	t.Helper()
	w, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The list of hubs stands in a script as a string literal that holds JSON,
// whatever is in it.
func TestScriptHoldsTheHubs(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	want := []string{"https://example.test/persona", `https://x.test/'"\</script>` + "\u2028"}
	for _, name := range []string{"provisioning_api.js", "authentication_api.js"} {
		script, err := w.Script(name, want)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`JSON\.parse\((".*")\);`).FindSubmatch(script.Body)
		if found == nil || strings.Contains(string(script.Body), "</script>") {
			t.Fatalf("%s:\n%s", name, script.Body)
		}
		var literal string
		if err := json.Unmarshal(found[1], &literal); err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := json.Unmarshal([]byte(literal), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hubs (-want +got):\n%s", diff)
		}
		other, err := w.Script(name, want[:1])
		if err != nil {
			t.Fatal(err)
		}
		if other.ETag == script.ETag {
			t.Error("two scripts have one ETag")
		}
	}
	if _, err := w.Script("../static/style.css", want); err == nil {
		t.Error("any file is a script")
	}
}

// Nothing comes from outside, and every file that a style or module refers to
// is there.
func TestStaticFilesStandAlone(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	static := w.Static()
	if len(static) == 0 {
		t.Fatal("there are no static files")
	}
	for path, asset := range static {
		if !strings.HasPrefix(path, web.StaticPrefix) || asset.ContentType == "" || len(asset.Body) == 0 {
			t.Errorf("%s: %s, %d bytes", path, asset.ContentType, len(asset.Body))
		}
		if regexp.MustCompile(`url\(|@import|innerHTML|\beval\(`).Match(asset.Body) {
			t.Errorf("%s loads or evaluates something", path)
		}
	}
	if _, err := w.Page(w.English(), "nothing", nil); err == nil {
		t.Error("a page that is not there is rendered")
	}
}
