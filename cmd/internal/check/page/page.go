// Package page reads what package check wants to know of a page: what it loads, where its
// forms go, which program made it, and who may frame it or open it in a popup.
package page

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Page is a page of HTML.
type Page struct {
	References []Reference // in their order
	// Maker is what the page says of the program that made it, "" for nothing.
	Maker string
	// Upgrades reports that browsers are told to use https for every http.
	Upgrades bool
}

// Reference is an address that a page holds.
type Reference struct {
	Kind Kind
	URL  *url.URL // absolute
}

// Kind is what becomes of a Reference.
type Kind string

// The kinds, in words for a sentence.
const (
	Form   Kind = "form"   // what is typed goes there
	Script Kind = "script" // as do style sheets and frames, it is refused when it is http in a page that came by https
	Style  Kind = "style sheet"
	Frame  Kind = "frame"
	Media  Kind = "image or media" // browsers try https instead
	Link   Kind = "link"           // people may go there
)

// Parse reads a page that came from an address, with its header. What is no HTML has
// no references. The caller bounds the size of the body.
func Parse(body []byte, at *url.URL, header http.Header) Page {
	p := Page{Upgrades: upgrades(strings.Join(header.Values("Content-Security-Policy"), ","))}
	if media, _, _ := strings.Cut(header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "text/html") {
		return p
	}
	base, moved := at, false
	z := html.NewTokenizer(bytes.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken: // the end, for a reader of bytes in memory
			return p
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		tag := z.Token()
		attributes := make(map[string]string, len(tag.Attr))
		for _, a := range tag.Attr {
			if _, there := attributes[a.Key]; !there { // the first counts
				attributes[a.Key] = a.Val
			}
		}
		switch {
		case tag.DataAtom == atom.Base && !moved && attributes["href"] != "":
			if to, err := at.Parse(strings.TrimSpace(attributes["href"])); err == nil {
				base, moved = to, true
			}
		case tag.DataAtom == atom.Meta && strings.EqualFold(attributes["name"], "generator") && p.Maker == "":
			p.Maker = attributes["content"]
		case tag.DataAtom == atom.Meta && strings.EqualFold(attributes["http-equiv"], "Content-Security-Policy"):
			p.Upgrades = p.Upgrades || upgrades(attributes["content"])
		}
		name, kind := held(tag.DataAtom, attributes)
		value := strings.TrimSpace(attributes[name])
		if to, err := base.Parse(value); value != "" && err == nil && to.Host != "" {
			p.References = append(p.References, Reference{kind, to})
		}
	}
}

// held returns which attribute of an element holds an address, and of which kind; "" for
// none.
func held(element atom.Atom, attributes map[string]string) (attribute string, kind Kind) {
	switch element {
	case atom.Script:
		return "src", Script
	case atom.Link:
		rel := strings.Fields(strings.ToLower(attributes["rel"]))
		switch {
		case slices.Contains(rel, "stylesheet"):
			return "href", Style
		case slices.Contains(rel, "modulepreload"):
			return "href", Script
		case slices.Contains(rel, "icon"):
			return "href", Media
		}
	case atom.Iframe, atom.Frame, atom.Embed:
		return "src", Frame
	case atom.Object:
		return "data", Frame
	case atom.Form:
		return "action", Form
	case atom.Button, atom.Input:
		if attributes["formaction"] == "" {
			return "src", Media
		}
		return "formaction", Form
	case atom.Img, atom.Audio, atom.Video, atom.Source, atom.Track:
		return "src", Media
	case atom.A, atom.Area:
		return "href", Link
	}
	return "", ""
}

// upgrades reports whether a Content-Security-Policy has upgrade-insecure-requests.
func upgrades(policies string) bool {
	for directive := range strings.FieldsFuncSeq(policies, func(r rune) bool { return r == ',' || r == ';' }) {
		if strings.EqualFold(strings.TrimSpace(directive), "upgrade-insecure-requests") {
			return true
		}
	}
	return false
}

// FrameAncestors returns the sources of each frame-ancestors directive, and
// whether there is one.
func FrameAncestors(header http.Header) (policies [][]string, stated bool) {
	for _, value := range header.Values("Content-Security-Policy") {
		for policy := range strings.SplitSeq(value, ",") {
			for directive := range strings.SplitSeq(policy, ";") {
				words := strings.Fields(strings.ToLower(directive))
				if len(words) > 0 && words[0] == "frame-ancestors" {
					policies = append(policies, words[1:])
				}
			}
		}
	}
	return policies, len(policies) > 0
}

// CutsPopups reports whether a Cross-Origin-Opener-Policy parts a popup from the
// page that opened it, and returns the policy.
func CutsPopups(header http.Header, opener bool) (policy string, cuts bool) {
	policy, _, _ = strings.Cut(header.Get("Cross-Origin-Opener-Policy"), ";")
	policy = strings.ToLower(strings.TrimSpace(policy))
	switch policy {
	case "same-origin", "same-origin-plus-coep", "noopener-allow-popups":
		return policy, true
	case "same-origin-allow-popups": // of the page that opens a popup it cuts nothing
		return policy, !opener
	}
	return policy, false
}
