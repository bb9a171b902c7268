package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

//go:embed templates static scripts locales
var embedded embed.FS

// StaticPrefix is where the files of static/ are served, below a hash of all
// of them, so that they may be cached for ever.
const StaticPrefix = "/persona/static/"

// Asset is a file as it is served.
type Asset struct {
	ContentType string
	Body        []byte
	ETag        string // quoted
}

func newAsset(name string, body []byte) (Asset, error) {
	contentType, ok := map[string]string{
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
	}[path.Ext(name)]
	if !ok {
		return Asset{}, fmt.Errorf("%s has no known content type", name)
	}
	return Asset{ContentType: contentType, Body: body, ETag: ETag(body)}, nil
}

// ETag returns a strong entity tag for a body.
func ETag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// Web is the parsed content of this package. It is safe for concurrent use.
type Web struct {
	hash      string
	static    map[string]Asset              // by path on the server
	pages     map[string]*template.Template // by language and name
	scripts   map[string]string
	languages languages
}

// hubsMark is where the scripts for other pages get the list of hubs.
const hubsMark = `'HUBS'`

// New parses everything; an error is a fault of the files themselves. The files of
// overlay, which may be nil, stand for those of the same names here, and may add
// languages.
func New(overlay fs.FS) (*Web, error) {
	w := &Web{static: map[string]Asset{}, pages: map[string]*template.Template{}, scripts: map[string]string{}}
	bodies := map[string]map[string][]byte{}
	for _, dir := range []string{"locales", "static", "templates", "scripts"} {
		bodies[dir] = map[string][]byte{}
		for _, files := range []fs.FS{embedded, overlay} {
			if files == nil {
				continue
			}
			if err := read(bodies[dir], files, dir); err != nil {
				return nil, fmt.Errorf("reading the web files: %w", err)
			}
		}
	}
	var err error
	if w.languages, err = loadLanguages(bodies["locales"]); err != nil {
		return nil, fmt.Errorf("loading the web files: %w", err)
	}
	if err := w.loadStatic(bodies["static"]); err != nil {
		return nil, fmt.Errorf("loading the web files: %w", err)
	}
	if err := w.loadPages(bodies["templates"]); err != nil {
		return nil, fmt.Errorf("loading the web files: %w", err)
	}
	for name, body := range bodies["scripts"] {
		if strings.Count(string(body), hubsMark) != 1 {
			return nil, fmt.Errorf("loading the web files: %s must hold %s exactly once", name, hubsMark)
		}
		w.scripts[name] = string(body)
	}
	return w, nil
}

func (w *Web) loadStatic(bodies map[string][]byte) error {
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		fmt.Fprintf(all, "%s %d\n", name, len(bodies[name]))
		all.Write(bodies[name])
	}
	w.hash = hex.EncodeToString(all.Sum(nil)[:8])
	for name, body := range bodies {
		asset, err := newAsset(name, body)
		if err != nil {
			return err
		}
		w.static[w.StaticPath(name)] = asset
	}
	return nil
}

func (w *Web) loadPages(bodies map[string][]byte) error {
	static := func(name string) (string, error) {
		where := w.StaticPath(name)
		if _, ok := w.static[where]; !ok {
			return "", fmt.Errorf("there is no static file %s", name)
		}
		return where, nil
	}
	for _, l := range w.languages.all {
		funcs := template.FuncMap{
			"static": static,
			"lang":   func() string { return l.Tag },
			"dir":    func() string { return l.Direction },
		}
		for name, body := range bodies {
			if name == "layout.html" {
				continue
			}
			page := template.New(name).Funcs(funcs)
			for _, source := range [][]byte{bodies["layout.html"], body} {
				if _, err := page.Parse(string(source)); err != nil {
					return fmt.Errorf("parsing %s: %w", name, err)
				}
			}
			w.pages[l.Tag+"/"+strings.TrimSuffix(name, ".html")] = page
		}
	}
	return nil
}

// StaticPath is the path at which a file of static/ is served.
func (w *Web) StaticPath(name string) string { return StaticPrefix + w.hash + "/" + name }

// Static returns the files of static/ by the paths at which they are served.
func (w *Web) Static() map[string]Asset { return w.static }

// Script returns a script for pages of other authors, such as
// provisioning_api.js, with the base URLs of the hubs that it may speak to.
func (w *Web) Script(name string, hubs []string) (Asset, error) {
	source, ok := w.scripts[name]
	if !ok {
		return Asset{}, fmt.Errorf("there is no script %s", name)
	}
	list, err := json.Marshal(hubs)
	if err != nil {
		return Asset{}, fmt.Errorf("writing the list of hubs: %w", err)
	}
	literal, err := json.Marshal(string(list)) // JSON text as a string literal
	if err != nil {
		return Asset{}, fmt.Errorf("writing the list of hubs: %w", err)
	}
	return newAsset(name, []byte(strings.Replace(source, hubsMark, string(literal), 1)))
}

// Page renders the page of a template, such as "home", in a language, with the
// data that the handlers give it.
func (w *Web) Page(l *Language, name string, data any) ([]byte, error) {
	page, ok := w.pages[l.Tag+"/"+name]
	if !ok {
		return nil, fmt.Errorf("there is no page %s", name)
	}
	var body bytes.Buffer
	if err := page.ExecuteTemplate(&body, "layout", data); err != nil {
		return nil, fmt.Errorf("rendering the page %s: %w", name, err)
	}
	return body.Bytes(), nil
}

// read adds the files below a directory, if there is one, to bodies by their names
// there, such as style.css and dialog/main.js.
func read(bodies map[string][]byte, files fs.FS, dir string) error {
	return fs.WalkDir(files, dir, func(where string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && where == dir {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, where)
		bodies[strings.TrimPrefix(where, dir+"/")] = body
		return err
	})
}
