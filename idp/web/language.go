package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// defaultLanguage is what a browser gets that wants none of the languages, and what programs get.
const defaultLanguage = "en"

// internal is the sentence for a code that the catalogue lacks.
const internal = "internal"

// Language is a catalogue of sentences, as a file of locales/ has it. The name of
// the file is the tag of the language (BCP 47).
type Language struct {
	Tag       string              `json:"-"`
	Direction string              `json:"direction"` // ltr or rtl
	Sentences map[string]Sentence `json:"sentences"` // by code, or code.detail
}

// Sentence is what a person reads about a code.
type Sentence struct {
	Heading string `json:"heading,omitempty"` // above the message on a page; "": the status in words
	Message string `json:"message"`
	Link    string `json:"link,omitempty"` // the text of the link, where there is one
}

// Sentence returns the sentence for a code and its detail or "", with args for the
// {places} in it.
func (l *Language) Sentence(code, detail string, args map[string]string) Sentence {
	if detail != "" {
		code += "." + detail
	}
	sentence, ok := l.Sentences[code]
	if !ok {
		sentence = l.Sentences[internal]
	}
	pairs := make([]string, 0, 2*len(args))
	for name, value := range args {
		pairs = append(pairs, "{"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	return Sentence{Heading: fill.Replace(sentence.Heading), Message: fill.Replace(sentence.Message), Link: fill.Replace(sentence.Link)}
}

// languages are all catalogues, and which of them a browser gets.
type languages struct {
	all     []*Language // in the order of tags
	matcher language.Matcher
}

// loadLanguages reads the catalogues. All must have the codes and the {places} of
// the default language: a sentence that is missing would be found by a person only.
func loadLanguages(files map[string][]byte) (languages, error) {
	byTag := map[string]*Language{}
	for name, text := range files {
		l := &Language{Tag: strings.TrimSuffix(name, path.Ext(name))}
		if err := json.Unmarshal(text, l); err != nil {
			return languages{}, fmt.Errorf("reading the language %s: %w", name, err)
		}
		byTag[l.Tag] = l
	}
	base, ok := byTag[defaultLanguage]
	if !ok || base.Sentences[internal].Message == "" {
		return languages{}, fmt.Errorf("the language %s lacks the sentence %q", defaultLanguage, internal)
	}
	all := languages{all: []*Language{base}}
	tags := []language.Tag{language.Make(defaultLanguage)}
	for _, name := range slices.Sorted(maps.Keys(byTag)) {
		l := byTag[name]
		tag, err := language.Parse(name)
		if err != nil {
			return languages{}, fmt.Errorf("%s.json is not named by a language: %w", name, err)
		}
		if err := l.like(base); err != nil {
			return languages{}, fmt.Errorf("the language %s: %w", name, err)
		}
		if l != base {
			all.all, tags = append(all.all, l), append(tags, tag)
		}
	}
	all.matcher = language.NewMatcher(tags)
	return all, nil
}

var place = regexp.MustCompile(`\{[a-z]+\}`)

// like checks that l has the codes and {places} of base.
func (l *Language) like(base *Language) error {
	if l.Direction != "ltr" && l.Direction != "rtl" {
		return fmt.Errorf("the direction %q is neither ltr nor rtl", l.Direction)
	}
	for code := range l.Sentences {
		if _, known := base.Sentences[code]; !known {
			return fmt.Errorf("there is no sentence %q", code)
		}
	}
	for code, want := range base.Sentences {
		got, ok := l.Sentences[code]
		if !ok {
			return fmt.Errorf("the sentence %q is missing", code)
		}
		places := func(s Sentence) []string {
			return slices.Compact(slices.Sorted(slices.Values(place.FindAllString(s.Heading+s.Message+s.Link, -1))))
		}
		if !slices.Equal(places(got), places(want)) {
			return fmt.Errorf("the sentence %q has the places %v instead of %v", code, places(got), places(want))
		}
	}
	return nil
}

// Language returns the language for a browser's Accept-Language fields.
func (w *Web) Language(accept ...string) *Language {
	_, i := language.MatchStrings(w.languages.matcher, accept...)
	return w.languages.all[i]
}

// English returns the language of what programs read.
func (w *Web) English() *Language { return w.languages.all[0] }
