package web_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"persona-sidecar/idp/web"
)

// german is the English catalogue under another name, with one sentence changed.
func german(t *testing.T, edit func(catalogue *web.Language)) fstest.MapFS {
	t.Helper()
	text, err := os.ReadFile("locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue web.Language
	if err := json.Unmarshal(text, &catalogue); err != nil {
		t.Fatal(err)
	}
	edit(&catalogue)
	if text, err = json.Marshal(catalogue); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"locales/de.json": {Data: text}}
}

func TestLanguageOfABrowser(t *testing.T) {
	t.Parallel()
	w, err := web.New(german(t, func(l *web.Language) {
		l.Sentences["not_found.delegating"] = web.Sentence{Message: "{authority} meldet {host} an.", Link: "Zu {authority}"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{
		"": "en", "fr": "en", "*": "en", "de": "de", "de-AT, en;q=0.5": "de", "en-GB, de;q=0.9": "en", "fr, de;q=0.1": "de", "q=x;;,": "en",
	} {
		if got := w.Language(accept).Tag; got != want {
			t.Errorf("%q gets %s, want %s", accept, got, want)
		}
	}
	args := map[string]string{"host": "a.test", "authority": "{host}"}
	if got := w.Language("de").Sentence("not_found", "delegating", args); got.Message != "{host} meldet a.test an." || got.Link != "Zu {host}" {
		t.Errorf("the sentence is %q", got)
	}
	if got := w.Language("de").Sentence("no such code", "", nil).Message; !strings.HasPrefix(got, "Something went wrong") {
		t.Errorf("an unknown code is %q", got)
	}
	page, err := w.Page(w.Language("de"), "error", struct {
		Host, Files, Heading, Message, Link, LinkText, Target, Back, Cancel, SupportCode string
		Website, Plain                                                                   bool
	}{Host: "a.test"})
	if err != nil || !strings.Contains(string(page), `<html lang="de" dir="ltr">`) {
		t.Errorf("the page: %v\n%s", err, page)
	}
}

// A catalogue that a person would find incomplete is refused at the start.
func TestLanguageFaults(t *testing.T) {
	t.Parallel()
	for want, edit := range map[string]func(*web.Language){
		`the sentence "wrong" is missing`:                               func(l *web.Language) { delete(l.Sentences, "wrong") },
		`there is no sentence "wrongg"`:                                 func(l *web.Language) { l.Sentences["wrongg"] = web.Sentence{Message: "x"} },
		`"throttled" has the places [{minuten}] instead of [{minutes}]`: func(l *web.Language) { l.Sentences["throttled"] = web.Sentence{Message: "{minuten}"} },
		`direction "" is neither`:                                       func(l *web.Language) { l.Direction = "" },
	} {
		if _, err := web.New(german(t, edit)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for name, want := range map[string]string{"locales/no language.json": "is not named by a language", "locales/en.json": "lacks the sentence"} {
		overlay := fstest.MapFS{name: german(t, func(*web.Language) {})["locales/de.json"]}
		if strings.Contains(name, "en.json") {
			overlay[name] = &fstest.MapFile{Data: []byte(`{"direction":"ltr"}`)}
		}
		if _, err := web.New(overlay); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := web.New(fstest.MapFS{"locales/de.json": {Data: []byte("{")}}); err == nil {
		t.Error("a broken catalogue is taken")
	}
}

// Files of an overlay stand for ours.
func TestOverlay(t *testing.T) {
	t.Parallel()
	w, err := web.New(fstest.MapFS{"static/style.css": {Data: []byte("body {}")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(w.Static()[w.StaticPath("style.css")].Body); got != "body {}" {
		t.Errorf("the style is %s", got)
	}
	if _, ok := w.Static()[w.StaticPath("icon.svg")]; !ok {
		t.Error("a file that the overlay lacks is gone")
	}
}
