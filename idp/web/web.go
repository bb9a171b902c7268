package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

//go:embed templates static scripts
var files embed.FS

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
	hash    string
	static  map[string]Asset // by path on the server
	pages   map[string]*template.Template
	scripts map[string]string
}

// New parses everything; an error is a fault of the files themselves.
func New() (*Web, error) {
	w := &Web{static: map[string]Asset{}, pages: map[string]*template.Template{}, scripts: map[string]string{}}
	for _, load := range []func() error{w.loadStatic, w.loadPages, w.loadScripts} {
		if err := load(); err != nil {
			return nil, fmt.Errorf("loading the web files: %w", err)
		}
	}
	return w, nil
}

func (w *Web) loadStatic() error {
	bodies, err := read("static")
	if err != nil {
		return err
	}
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

func (w *Web) loadPages() error {
	bodies, err := read("templates")
	if err != nil {
		return err
	}
	for name, body := range bodies {
		if name == "layout.html" {
			continue
		}
		page := template.New(name).Funcs(template.FuncMap{"static": w.staticChecked})
		for _, source := range [][]byte{bodies["layout.html"], body} {
			if _, err := page.Parse(string(source)); err != nil {
				return fmt.Errorf("parsing %s: %w", name, err)
			}
		}
		w.pages[strings.TrimSuffix(name, ".html")] = page
	}
	return nil
}

// hubsMark is where the scripts for other pages get the list of hubs.
const hubsMark = `'HUBS'`

func (w *Web) loadScripts() error {
	bodies, err := read("scripts")
	if err != nil {
		return err
	}
	for name, body := range bodies {
		if strings.Count(string(body), hubsMark) != 1 {
			return fmt.Errorf("%s must hold %s exactly once", name, hubsMark)
		}
		w.scripts[name] = string(body)
	}
	return nil
}

// StaticPath is the path at which a file of static/ is served.
func (w *Web) StaticPath(name string) string { return StaticPrefix + w.hash + "/" + name }

func (w *Web) staticChecked(name string) (string, error) {
	where := w.StaticPath(name)
	if _, ok := w.static[where]; !ok {
		return "", fmt.Errorf("there is no static file %s", name)
	}
	return where, nil
}

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

// Page renders the page of a template, such as "home", with the data that
// handlers of package idp give it.
func (w *Web) Page(name string, data any) ([]byte, error) {
	page, ok := w.pages[name]
	if !ok {
		return nil, fmt.Errorf("there is no page %s", name)
	}
	var body bytes.Buffer
	if err := page.ExecuteTemplate(&body, "layout", data); err != nil {
		return nil, fmt.Errorf("rendering the page %s: %w", name, err)
	}
	return body.Bytes(), nil
}

// read returns the files below a directory by their names there, such as
// style.css and dialog/main.js.
func read(dir string) (map[string][]byte, error) {
	bodies := map[string][]byte{}
	err := fs.WalkDir(files, dir, func(where string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, where)
		bodies[strings.TrimPrefix(where, dir+"/")] = body
		return err
	})
	return bodies, err
}
